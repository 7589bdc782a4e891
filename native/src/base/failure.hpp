// How things fail inside the library: an exception that becomes a zoo_status and one line at the border (api.cpp).
#pragma once

#include <stdexcept>
#include <string>

#include "zoo/zoo.h"

namespace zoo_impl {

struct Failure : std::runtime_error {
  Failure(zoo_status what, const std::string& text) : std::runtime_error(text), status(what) {}
  const zoo_status status;
};

}  // namespace zoo_impl
