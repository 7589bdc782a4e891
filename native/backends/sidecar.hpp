// sidecar.json, which describes a built engine, and whether that engine fits this machine. zoo/bundle/sidecar.py is the
// reference.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/file.hpp"
#include "zoo/backend.h"

namespace zoo_backend {

// The CPU or GPU that an engine was built for, or the one that is here.
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
  int64_t batch[3] = {0, 0, 0};  // images in a batch: fewest, the number that the engine is fastest at, most
  std::vector<std::string> flags;
  std::string hardware_compatibility;
  int64_t operators = 0;  // version of the operators of zoo.int8

  bool has(std::string_view flag) const;

  // Throws Failure: ZOO_E_CORRUPT, or ZOO_E_VERSION for a schema that this library does not know.
  static Sidecar parse(std::string_view text);
};

// Why a TensorRT plan does not fit this GPU and this version of TensorRT, or "". TensorRT itself checks this only when
// it loads the plan.
std::string stale(const Sidecar& built, const Processor& gpu, const std::string& tensorrt);

// A built engine that fits: its folder and its sidecar.
struct Built {
  std::string folder;
  Sidecar about;
};

// The engine of this graph, backend, precision and device that fits. `misfit` says what differs on this machine, or "".
// Throws Failure(ZOO_E_NOT_FOUND) with all reasons where none fits.
Built find_built(const std::string& graph_path, const std::string& graph_sha256, const std::string& backend,
                 const std::string& precision, const std::string& device,
                 const std::function<std::string(const Sidecar&)>& misfit);

// The same for a request to a plug-in. Where the request has no graph yet, as for a score, its file is read.
Built find_built(const zoo_backend_request& request, const std::string& backend,
                 const std::function<std::string(const Sidecar&)>& misfit);

// The content of the engine's file. Throws Failure(ZOO_E_HASH) where it is not the file that was built: it is code, and
// a runtime must not see it before this check.
zoo_impl::Bytes artefact(const Built& built);

}  // namespace zoo_backend
