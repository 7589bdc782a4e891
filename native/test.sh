#!/usr/bin/env bash
# What `make native-test` runs: the native tests plain, under AddressSanitizer with UBSan, and under ThreadSanitizer;
# then each fuzz target for FUZZ_SECONDS (30) on the committed corpus, where clang is installed.
set -euo pipefail
cd "$(dirname "$0")/.."
jobs=$(nproc)

if ! command -v cmake >/dev/null || ! command -v c++ >/dev/null; then
  echo "native-test: needs cmake and a C++ compiler" >&2
  exit 4
fi

run() { # NAME SETTING...
  local name=$1
  shift
  cmake -S . -B "build/$name" -DZOO_TESTS=ON "$@" >/dev/null
  cmake --build "build/$name" --parallel "$jobs" >/dev/null 2>"build/$name/warnings.log" || {
    cat "build/$name/warnings.log" >&2
    exit 1
  }
  echo "native-test: $name"
  "build/$name/bin/zoo_tests"
}

run native
run native-asan -DZOO_SANITIZE=address,undefined -DCMAKE_BUILD_TYPE=RelWithDebInfo -DZOO_BENCH=OFF
run native-tsan -DZOO_SANITIZE=thread -DCMAKE_BUILD_TYPE=RelWithDebInfo -DZOO_BENCH=OFF

if ! command -v clang++ >/dev/null; then
  echo "native-test: no clang++: nothing is fuzzed" >&2
  exit 0
fi
cmake -S . -B build/native-fuzz -DCMAKE_C_COMPILER=clang -DCMAKE_CXX_COMPILER=clang++ -DZOO_FUZZ=ON -DZOO_BENCH=OFF \
  -DZOO_SANITIZE=fuzzer-no-link,address,undefined -DCMAKE_BUILD_TYPE=RelWithDebInfo >/dev/null
cmake --build build/native-fuzz --parallel "$jobs" >/dev/null
for target in manifest picture api; do
  # New inputs are kept in the build folder, and the next run starts from them as well.
  mkdir -p "build/corpus/$target"
  echo "native-test: fuzz_$target for ${FUZZ_SECONDS:=30} s"
  "build/native-fuzz/bin/fuzz_$target" -max_total_time="$FUZZ_SECONDS" -timeout=20 -rss_limit_mb=2048 -max_len=65536 \
    -verbosity=0 -artifact_prefix="build/corpus/" "build/corpus/$target" "native/fuzz/corpus/$target" \
    >"build/corpus/$target.log" 2>&1 || { cat "build/corpus/$target.log" >&2; exit 1; }
done
echo "native-test: nothing was found"
