// SHA-256 (FIPS 180-4), with the CPU's own instructions where it has them.
#pragma once

#include <cstddef>
#include <string>

namespace zoo_impl {

// 64 lower-case hex digits.
std::string sha256(const void* data, size_t size);

}  // namespace zoo_impl
