// The plug-in `onnxruntime-winograd`: what `zoo build` made of a bundle's int8 graph, with the operators of native/ops.
#include <stdexcept>
#include <string>

#include "onnxruntime/custom_op_api.hpp"
#include "ops/kernels.hpp"
#include "backends/onnxruntime_source.hpp"
#include "backends/sidecar.hpp"

extern "C" zoo_ops::ort::Status* RegisterCustomOps(zoo_ops::ort::SessionOptions* options, const zoo_ops::ort::Base* base);

namespace zoo_backend {
namespace {

// As zoo/engines/onnxruntime_winograd.py has them.
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
  // Without AVX2 the scalar kernels run. Every other backend is faster then: this one runs where it is asked for by name.
  return &zoo_ops::kernels() == zoo_ops::usable_kernels().front() ? 1 : 55;
}

Graph graph_of(const zoo_backend_request& request) {
  zoo_impl::Bytes bytes = artefact(built_for(request));
  const void* data = bytes.data();
  const size_t size = bytes.size();
  return {std::move(bytes), data, size};
}

ort::Status* prepare(ort::SessionOptions* options, const ort::Base* base) {
  return reinterpret_cast<ort::Status*>(
      RegisterCustomOps(reinterpret_cast<zoo_ops::ort::SessionOptions*>(options),
                        reinterpret_cast<const zoo_ops::ort::Base*>(base)));
}

}  // namespace zoo_backend
