// The plug-in `onnxruntime-winograd`: the graph that `zoo build` rewrote the int8 graph into, with the operators of
// native/ops.
#include <string>

#include "backends/onnxruntime_graph.hpp"
#include "backends/sidecar.hpp"
#include "ops/kernels.hpp"

extern "C" ort::Status* RegisterCustomOps(ort::SessionOptions* options, const ort::Base* base);

namespace zoo_backend {
namespace {

// The same values as in zoo/engines/onnxruntime/winograd.py.
constexpr const char* kProcessor = "x86-64-avx2";
constexpr int64_t kOperators = 1;

std::string misfit(const Sidecar& built) {
  if (built.processor.kind != kProcessor) return "it was built for " + built.processor.name;
  if (built.operators != kOperators)
    return "its operators are version " + std::to_string(built.operators) + ", this library has version " +
           std::to_string(kOperators);
  return "";
}

Built built_for(const zoo_backend_request& request) { return find_built(request, kName, misfit); }

}  // namespace

const char* const kName = "onnxruntime-winograd";
const bool kCuda = false;

int32_t cpu_score(const zoo_backend_request& request) {
  built_for(request);
  // Without AVX2 the scalar kernels run, and every other backend is faster: then this one has to be asked for by name.
  return zoo_ops::usable_kernels().size() == 1 ? 1 : 55;
}

Graph graph_of(const zoo_backend_request& request) {
  zoo_impl::Bytes bytes = artefact(built_for(request));
  const void* data = bytes.data();
  const size_t size = bytes.size();
  return {std::move(bytes), data, size};
}

void prepare(const ort::Api& api, ort::SessionOptions* options, const ort::Base* base) {
  api.check(RegisterCustomOps(options, base));
}

}  // namespace zoo_backend
