// The plug-in `onnxruntime`: a bundle's graph as it is.
#include "backends/onnxruntime_graph.hpp"

namespace zoo_backend {

const char* const kName = "onnxruntime";
const bool kCuda = true;

int32_t cpu_score(const zoo_backend_request&) { return 50; }

Graph graph_of(const zoo_backend_request& request) { return {{}, request.graph, request.graph_size}; }

void prepare(const ort::Api&, ort::SessionOptions*, const ort::Base*) {}

}  // namespace zoo_backend
