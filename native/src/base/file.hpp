// Reading a file whole.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace zoo_impl {

using Bytes = std::vector<unsigned char>;

// Throws Failure(ZOO_E_NOT_FOUND) with the path, or ZOO_E_CORRUPT when it is larger than `most`.
Bytes read_file(const std::string& path, uint64_t most);

inline std::string_view text_of(const Bytes& bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

}  // namespace zoo_impl
