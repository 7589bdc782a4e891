// What every plug-in does: report an error in one line, keep exceptions inside, return its table of functions.
#pragma once

#include <exception>
#include <new>
#include <stdexcept>
#include <string>

#include "base/failure.hpp"
#include "zoo/backend.h"

namespace zoo_backend {

// A runtime that cannot do what was asked, and why.
struct Problem : std::runtime_error {
  using std::runtime_error::runtime_error;
};

// The first line of `text` into the caller's error.
inline void say(zoo_error* error, const std::string& text) {
  zoo_impl::say(error, text.substr(0, text.find('\n')).c_str());
}

// Do `work`; no exception crosses the C interface.
template <class Work>
zoo_status guarded(zoo_error* error, Work&& work) {
  try {
    work();
    return ZOO_OK;
  } catch (const std::bad_alloc&) {
    return ZOO_E_MEMORY;
  } catch (const zoo_impl::Failure& failure) {
    say(error, failure.what());
    return failure.status;
  } catch (const std::exception& problem) {
    say(error, problem.what());
    return ZOO_E_BACKEND;
  }
}

// What goes into a graph and what comes out: uint8 [N, height, width, 3] and float32 [N, outputs].
struct Signature {
  Signature() = default;
  explicit Signature(const zoo_backend_request& request)
      : input(request.input),
        output(request.output),
        height(request.height),
        width(request.width),
        outputs(request.outputs) {}

  // Bytes of `count` images, and of their logits.
  size_t image_bytes(int64_t count) const { return static_cast<size_t>(count * height * width * 3); }
  size_t logits_bytes(int64_t count) const { return static_cast<size_t>(count * outputs) * sizeof(float); }

  std::string input, output;  // names in the graph
  int64_t height = 0, width = 0, outputs = 0;
};

// What zoo_backend_entry does: copies the plug-in's table to `table`, for a host that can use it.
inline zoo_status hand_out(uint32_t host_abi, zoo_backend_table* table, const zoo_backend_table& own) {
  if (host_abi != ZOO_BACKEND_ABI || table == nullptr || table->struct_size < sizeof(zoo_backend_table))
    return ZOO_E_VERSION;
  *table = own;
  return ZOO_OK;
}

}  // namespace zoo_backend
