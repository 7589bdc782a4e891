// Structs that begin with struct_size. Those of an older program lack the last members: they are read as 0 and not
// written. Those of a newer program are refused.
#pragma once

#include <cstddef>
#include <cstring>

#include "base/failure.hpp"

namespace zoo_impl {

// A copy of *given; members that an older program does not have are 0. `name`: the argument, for the error.
template <typename Struct>
Struct taken(const Struct* given, const char* name) {
  if (given == nullptr) throw Failure(ZOO_E_ARGUMENT, std::string(name) + " is NULL");
  size_t size = given->struct_size;
  if (size < sizeof(size_t)) throw Failure(ZOO_E_ARGUMENT, std::string(name) + ".struct_size is not set");
  if (size > sizeof(Struct))
    throw Failure(ZOO_E_VERSION, std::string(name) + " is from a newer zoo.h than this library, " + zoo_version());
  Struct copy{};
  std::memcpy(&copy, given, size);
  copy.struct_size = sizeof(Struct);
  return copy;
}

// Writes as much of `value` as the caller's struct has room for; its struct_size stays as it was.
template <typename Struct>
void give(Struct* where, Struct value, const char* name) {
  value.struct_size = taken(where, name).struct_size;
  size_t size = where->struct_size;
  std::memcpy(reinterpret_cast<char*>(where) + sizeof(size_t), reinterpret_cast<const char*>(&value) + sizeof(size_t),
              size - sizeof(size_t));
}

}  // namespace zoo_impl
