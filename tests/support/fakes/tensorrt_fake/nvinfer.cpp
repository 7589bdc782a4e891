// A TensorRT without a GPU, on TensorRT's own headers. every.hpp is made from them by the test: classes AnyRuntime,
// AnyCudaEngine and AnyExecutionContext in which every function ends the process, so that what the plug-in calls and is
// not here is noticed.
//
// A plan is the text "MIN OPT MAX HEIGHT WIDTH OUTPUTS". Answer k of an image is the mean of its bytes / 64 + k.
#include <atomic>
#include <cstdio>
#include <cstring>
#include <functional>
#include <string>

#include "every.hpp"

void fake_queue(cudaStream_t stream, std::function<void()> work);

using namespace nvinfer1;

namespace {

std::atomic<int> live{0};

struct AtTheEnd {
  ~AtTheEnd() { std::fprintf(stderr, "fake tensorrt: %d alive\n", live.load()); }
} at_the_end;

struct Counted {
  Counted() { ++live; }
  ~Counted() { --live; }
};

struct Plan {
  int64_t batch[3], height, width, outputs;
  int64_t image() const { return height * width * 3; }
};

constexpr int64_t kScratch = 64;

struct Context : IExecutionContext, AnyExecutionContext, Counted {
  explicit Context(const Plan& about) : plan(about) { mImpl = this; }
  void setDeviceMemoryV2(void* memory, int64_t size) noexcept override { scratch = size == kScratch ? memory : nullptr; }
  bool setNvtxVerbosity(ProfilingVerbosity) noexcept override { return true; }
  bool setOptimizationProfileAsync(int32_t index, cudaStream_t) noexcept override { return index == 0; }
  bool setInputShape(char const* name, Dims const& dims) noexcept override {
    rows = dims.d[0];
    return std::string(name) == "image" && dims.nbDims == 4 && dims.d[1] == plan.height && dims.d[2] == plan.width &&
           dims.d[3] == 3 && plan.batch[0] <= rows && rows <= plan.batch[2];
  }
  bool setTensorAddress(char const* name, void* data) noexcept override {
    return (std::strcmp(name, "image") == 0 ? in : out) = data, true;
  }
  int32_t inferShapes(int32_t, char const**) noexcept override { return rows == 0; }
  bool enqueueV3(cudaStream_t stream) noexcept override {
    if (scratch == nullptr || in == nullptr || out == nullptr) return false;
    const uint8_t* image = static_cast<const uint8_t*>(in);
    float* answer = static_cast<float*>(out);
    fake_queue(stream, [this, image, answer] {
      for (int64_t row = 0; row < rows; ++row) {
        int64_t sum = 0;
        for (int64_t i = 0; i < plan.image(); ++i) sum += image[row * plan.image() + i];
        const float mean = static_cast<float>(sum) / static_cast<float>(plan.image());
        for (int64_t k = 0; k < plan.outputs; ++k) answer[row * plan.outputs + k] = mean / 64 + static_cast<float>(k);
      }
    });
    return true;
  }

  Plan plan;
  int64_t rows = 0;
  void *scratch = nullptr, *in = nullptr, *out = nullptr;
};

struct Engine : ICudaEngine, AnyCudaEngine, Counted {
  explicit Engine(const Plan& about) : plan(about) { mImpl = this; }
  int32_t getNbIOTensors() const noexcept override { return 2; }
  char const* getIOTensorName(int32_t index) const noexcept override { return index == 0 ? "image" : "logits"; }
  TensorIOMode getTensorIOMode(char const* name) const noexcept override {
    return std::strcmp(name, "image") == 0 ? TensorIOMode::kINPUT : TensorIOMode::kOUTPUT;
  }
  DataType getTensorDataType(char const* name) const noexcept override {
    return std::strcmp(name, "image") == 0 ? DataType::kUINT8 : DataType::kFLOAT;
  }
  Dims getTensorShape(char const* name) const noexcept override {
    Dims dims{2, {-1, plan.outputs}};
    if (std::strcmp(name, "image") == 0) dims = Dims{4, {-1, plan.height, plan.width, 3}};
    return dims;
  }
  Dims getProfileShape(char const*, int32_t, OptProfileSelector which) const noexcept override {
    return Dims{4, {plan.batch[static_cast<int>(which)], plan.height, plan.width, 3}};
  }
  int64_t getDeviceMemorySizeV2() const noexcept override { return kScratch; }
  IExecutionContext* createExecutionContext(ExecutionContextAllocationStrategy strategy) noexcept override {
    return strategy == ExecutionContextAllocationStrategy::kUSER_MANAGED ? new Context(plan) : nullptr;
  }

  Plan plan;
};

struct Runtime : IRuntime, AnyRuntime, Counted {
  explicit Runtime(ILogger* logger) : log(logger) { mImpl = this; }
  void setEngineHostCodeAllowed(bool) noexcept override {}
  nvinfer1::ICudaEngine* deserializeCudaEngine(void const* blob, std::size_t size) noexcept override {
    const std::string text(static_cast<const char*>(blob), size);
    Plan plan{};
    if (std::sscanf(text.c_str(), "%ld %ld %ld %ld %ld %ld", &plan.batch[0], &plan.batch[1], &plan.batch[2],
                    &plan.height, &plan.width, &plan.outputs) == 6)
      return new Engine(plan);
    log->log(ILogger::Severity::kERROR, "this is no plan");
    return nullptr;
  }

  ILogger* log;
};

}  // namespace

extern "C" {
void* createInferRuntime_INTERNAL(void* logger, int32_t version) noexcept {
  if (version != NV_TENSORRT_VERSION) return nullptr;
  return static_cast<IRuntime*>(new Runtime(static_cast<ILogger*>(logger)));
}
int32_t getInferLibMajorVersion() noexcept { return NV_TENSORRT_MAJOR; }
int32_t getInferLibMinorVersion() noexcept { return NV_TENSORRT_MINOR; }
int32_t getInferLibPatchVersion() noexcept { return NV_TENSORRT_PATCH; }
int32_t getInferLibBuildVersion() noexcept { return NV_TENSORRT_BUILD; }
}
