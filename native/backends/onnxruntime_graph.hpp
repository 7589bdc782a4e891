// What differs between the two plug-ins on ONNX Runtime. onnxruntime.cpp is linked once with each file that defines
// these.
#pragma once

#include "base/file.hpp"
#include "onnxruntime/api.hpp"
#include "zoo/backend.h"

namespace zoo_backend {

// The bytes of an ONNX file.
struct Graph {
  zoo_impl::Bytes own;  // empty where the bytes are the request's
  const void* data = nullptr;
  size_t size = 0;
};

extern const char* const kName;
extern const bool kCuda;  // whether the plug-in runs on device cuda as well

// The plug-in's score on the CPU. Throws where it cannot run this request.
int32_t cpu_score(const zoo_backend_request& request);

// The graph that ONNX Runtime is to run. Throws where there is none.
Graph graph_of(const zoo_backend_request& request);

// Changes the session's options to what the graph needs. Throws std::runtime_error.
void prepare(const ort::Api& api, ort::SessionOptions* options, const ort::Base* base);

}  // namespace zoo_backend
