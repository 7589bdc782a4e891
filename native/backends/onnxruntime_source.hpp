// What the plug-ins that stand on ONNX Runtime differ in. Each is linked with one file that defines these.
#pragma once

#include "base/file.hpp"
#include "onnxruntime/session_api.hpp"
#include "zoo/backend.h"

namespace zoo_backend {

struct Graph {
  zoo_impl::Bytes own;  // empty where the graph is the request's
  const void* data = nullptr;
  size_t size = 0;
};

extern const char* const kName;
extern const bool kCuda;  // whether it runs on device cuda as well

// How good it is on the CPU. Throws where it cannot run this request.
int32_t cpu_score(const zoo_backend_request& request);

// What ONNX Runtime is to run. Throws where there is none.
Graph graph_of(const zoo_backend_request& request);

// Tells the options of the session what the graph needs; a status as ONNX Runtime's functions return it.
ort::Status* prepare(ort::SessionOptions* options, const ort::Base* base);

}  // namespace zoo_backend
