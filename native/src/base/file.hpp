// Files and folders.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace zoo_impl {

using Bytes = std::vector<unsigned char>;

constexpr uint64_t kLargestText = 16 << 20;  // bytes of a manifest, a sidecar or a list of labels

// The whole content of a file. Throws Failure: ZOO_E_NOT_FOUND with the path, or ZOO_E_CORRUPT when the file has more
// than `most` bytes.
Bytes read_file(const std::string& path, uint64_t most);

// The names in a folder, in no particular order; none where it cannot be read.
std::vector<std::string> names_in(const std::string& folder);

inline std::string_view text_of(const Bytes& bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

}  // namespace zoo_impl
