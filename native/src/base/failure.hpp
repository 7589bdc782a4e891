// How things fail inside the library: an exception, which the C interface turns into a zoo_status and one line of text.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <stdexcept>
#include <string>

#include "zoo/zoo.h"

namespace zoo_impl {

struct Failure : std::runtime_error {
  Failure(zoo_status what, const std::string& text) : std::runtime_error(text), status(what) {}
  const zoo_status status;
};

// Writes one line into the caller's error, cut to its size. `error` may be NULL or have no room for text.
inline void say(zoo_error* error, const char* text) noexcept {
  constexpr size_t start = offsetof(zoo_error, text);
  if (error == nullptr || error->struct_size <= start) return;
  size_t room = error->struct_size - start, length = std::min(std::strlen(text), room - 1);
  char* where = reinterpret_cast<char*>(error) + start;
  std::memcpy(where, text, length);
  where[length] = '\0';
}

}  // namespace zoo_impl
