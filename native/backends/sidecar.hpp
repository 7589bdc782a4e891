// What stands beside a built engine, and whether the engine may be used here. zoo/engines/sidecar.py is the reference.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/file.hpp"
#include "zoo/backend.h"

namespace zoo_backend {

struct Processor {
  std::string name, kind;
  std::string driver;  // the CUDA version that the GPU's driver supports ("13.0"); empty: a CPU
};

struct NamedFile {
  std::string name, sha256;
  uint64_t bytes = 0;
};

struct Sidecar {
  std::string backend, precision, device, library;
  NamedFile graph, artefact;
  Processor processor;
  int64_t batch[3] = {0, 0, 0};  // fewest images, the number it is fastest at, most
  std::vector<std::string> flags;
  std::string hardware_compatibility;
  int64_t operators = 0;  // the version of those of zoo.int8

  bool has(std::string_view flag) const;

  // Throws Failure: ZOO_E_CORRUPT, or ZOO_E_VERSION for a schema that this library does not know.
  static Sidecar parse(std::string_view text);
};

// Why a TensorRT plan does not fit this GPU and this TensorRT, or "". TensorRT has no such check before loading.
std::string stale(const Sidecar& built, const Processor& gpu, const std::string& tensorrt);

// An engine of a graph that fits here: its folder and what stands in it.
struct Built {
  std::string folder;
  Sidecar about;
};

// `misfit` says what of the machine differs, or "". Throws Failure(ZOO_E_NOT_FOUND) with all reasons when none fits.
Built find_built(const std::string& graph_path, const std::string& graph_sha256, const std::string& backend,
                 const std::string& precision, const std::string& device,
                 const std::function<std::string(const Sidecar&)>& misfit);

// The same for what a plug-in was asked for; for a score that is no graph yet, which is read.
Built find_built(const zoo_backend_request& request, const std::string& backend,
                 const std::function<std::string(const Sidecar&)>& misfit);

// The engine's file; throws Failure(ZOO_E_HASH) when it is not the one that was built. It is code: nothing of it may
// reach a runtime before this.
zoo_impl::Bytes artefact(const Built& built);

}  // namespace zoo_backend
