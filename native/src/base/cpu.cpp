#include "base/cpu.hpp"

#include <cstdlib>
#include <cstring>

#if ZOO_X86
#include <cpuid.h>
#endif

namespace zoo_impl {

static Cpu found() {
  Cpu cpu;
#if ZOO_X86
  const char* limit = std::getenv("ZOO_CPU");
  if (limit != nullptr && std::strcmp(limit, "plain") == 0) return cpu;
  cpu.avx2 = __builtin_cpu_supports("avx2") != 0;
  cpu.fma = cpu.avx2 && __builtin_cpu_supports("fma") != 0;
  // Processors with AVX-512 but without VNNI are the first ones: 512-bit instructions lower their clock for a while.
  cpu.avx512 = cpu.avx2 && __builtin_cpu_supports("avx512bw") != 0 && __builtin_cpu_supports("avx512vl") != 0 &&
               __builtin_cpu_supports("avx512vnni") != 0 && (limit == nullptr || std::strcmp(limit, "avx2") != 0);
  // __builtin_cpu_supports knows no "sha" before GCC 14: CPUID leaf 7, EBX, bit 29.
  unsigned a = 0, b = 0, c = 0, d = 0;
  cpu.sha = __get_cpuid_count(7, 0, &a, &b, &c, &d) != 0 && (b >> 29 & 1) != 0 && __builtin_cpu_supports("sse4.1") != 0;
#endif
  return cpu;
}

const Cpu& cpu() {
  static const Cpu once = found();
  return once;
}

}  // namespace zoo_impl
