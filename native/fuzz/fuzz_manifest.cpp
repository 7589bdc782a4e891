// Random bytes as manifest.json and as a file of self-test vectors.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/failure.hpp"
#include "base/json.hpp"
#include "bundle/manifest.hpp"
#include "bundle/selftest_vectors.hpp"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  try {
    zoo_impl::Manifest::parse({reinterpret_cast<const char*>(data), size});
  } catch (const zoo_impl::Failure&) {
  }
  try {
    zoo_impl::Manifest manifest;
    manifest.height = 6, manifest.width = 8, manifest.outputs = 4;
    const zoo_impl::Bytes bytes(data, data + size);
    const zoo_impl::Vectors vectors = zoo_impl::read_vectors(bytes, manifest, "fp32");
    volatile unsigned sum = 0;  // every promised byte can be read
    for (int64_t i = 0; i < vectors.count * 6 * 8 * 3; ++i) sum = sum + vectors.images[i];
  } catch (const zoo_impl::Failure&) {
  }
  return 0;
}
