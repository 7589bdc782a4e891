// The self-test's stored images and logits: a safetensors file (8 bytes of length, a JSON header, raw data).
#pragma once

#include <string>
#include <vector>

#include "bundle/bundle.hpp"

namespace zoo_impl {

struct Vectors {
  int64_t count = 0;
  const unsigned char* images = nullptr;  // uint8 [count, height, width, 3], inside the bytes that they were read from
  std::vector<float> logits;              // [count, outputs]
};

// The vectors of one precision. `bytes`: the file; it has to outlive the result. Throws Failure(ZOO_E_CORRUPT).
Vectors read_vectors(const Bytes& bytes, const Manifest& manifest, const std::string& precision);
Vectors read_vectors(Bytes&& bytes, const Manifest& manifest, const std::string& precision) = delete;  // would dangle

}  // namespace zoo_impl
