// TensorRT and the CUDA runtime as the plug-in uses them. Neither is linked: both are opened when a program runs.
#pragma once

#include <NvInferRuntime.h>
#include <cuda_runtime_api.h>

#include <memory>
#include <mutex>
#include <string>

#include "backends/plugin.hpp"
#include "backends/runtime_library.hpp"
#include "backends/sidecar.hpp"

namespace zoo_backend {

// TensorRT's interfaces are C++ classes: the layout that this was compiled with is that of one major version.
static_assert(NV_TENSORRT_MAJOR == 10 || NV_TENSORRT_MAJOR == 11, "the plug-in knows TensorRT 10.12 to 11");
static_assert(NV_TENSORRT_MAJOR > 10 || NV_TENSORRT_MINOR >= 12, "the plug-in needs TensorRT 10.12 or later");

// Keeps TensorRT's latest error message. TensorRT calls it from any of its threads.
class Log : public nvinfer1::ILogger {
 public:
  void log(Severity severity, nvinfer1::AsciiChar const* text) noexcept override {
    if (severity > Severity::kERROR) return;
    const std::lock_guard<std::mutex> turn(mutex_);
    try {
      last_ = text;
    } catch (...) {  // no memory for it: the message before it stays
    }
  }

  std::string last() const {
    const std::lock_guard<std::mutex> turn(mutex_);
    return last_.empty() ? "it does not say why" : last_;
  }

 private:
  mutable std::mutex mutex_;
  std::string last_;
};

// The functions that are used. CUDA renames some of its functions with macros: the names pass through two macros, so
// that these are expanded.
#define ZOO_CUDA_FUNCTIONS(X)                                                                                     \
  X(cudaGetErrorString) X(cudaDriverGetVersion) X(cudaRuntimeGetVersion) X(cudaGetDeviceCount) X(cudaGetDevice)     \
  X(cudaSetDevice) X(cudaGetDeviceProperties) X(cudaStreamCreateWithFlags) X(cudaStreamDestroy)                     \
  X(cudaStreamSynchronize) X(cudaStreamBeginCapture) X(cudaStreamEndCapture) X(cudaMalloc) X(cudaFree)              \
  X(cudaMallocHost) X(cudaFreeHost) X(cudaMemcpyAsync) X(cudaGraphInstantiateWithFlags) X(cudaGraphLaunch)          \
  X(cudaGraphDestroy) X(cudaGraphExecDestroy)
#define ZOO_TENSORRT_FUNCTIONS(X)                                                                                 \
  X(createInferRuntime_INTERNAL) X(getInferLibMajorVersion) X(getInferLibMinorVersion) X(getInferLibPatchVersion)   \
  X(getInferLibBuildVersion)
#define ZOO_NAME_OF(name) #name
#define ZOO_DECLARE(name) decltype(&::name) name = nullptr;
#define ZOO_FIND(name)                                                        \
  name = reinterpret_cast<decltype(name)>(dlsym(library, ZOO_NAME_OF(name))); \
  if (name == nullptr) throw Problem("the library has no " ZOO_NAME_OF(name));

struct Cuda {
  ZOO_CUDA_FUNCTIONS(ZOO_DECLARE)

  explicit Cuda(const void* plugin) {
    const std::string file = "libcudart.so." + std::to_string(CUDART_VERSION / 1000);
    std::string why;
    const std::string beside = in_site_packages(plugin, ("nvidia/*/lib/" + file).c_str());
    void* library = open_runtime(nullptr, "ZOO_CUDART_LIBRARY", beside, {file.c_str(), "libcudart.so"}, why);
    if (library == nullptr) throw Problem(why);
    ZOO_CUDA_FUNCTIONS(ZOO_FIND)
    int version = 0;
    done(cudaRuntimeGetVersion(&version), "tell its version");
    if (version / 1000 != CUDART_VERSION / 1000)  // structs differ between major versions
      throw Problem("the CUDA runtime is " + std::to_string(version / 1000) + ", the plug-in was built for " +
                    std::to_string(CUDART_VERSION / 1000));
    int gpus = 0;
    done(cudaGetDeviceCount(&gpus), "find a GPU");
    if (gpus == 0) throw Problem("there is no GPU");
  }

  void done(cudaError_t status, const char* what) const {
    if (status != cudaSuccess) throw Problem(std::string("CUDA cannot ") + what + ": " + cudaGetErrorString(status));
  }

  // The first GPU in CUDA's order.
  Processor gpu() const {
    cudaDeviceProp about{};
    int driver = 0;
    done(cudaGetDeviceProperties(&about, 0), "describe the GPU");
    done(cudaDriverGetVersion(&driver), "tell the driver's version");
    return {about.name, std::to_string(about.major) + "." + std::to_string(about.minor),
            std::to_string(driver / 1000) + "." + std::to_string(driver % 1000 / 10)};
  }
};

struct TensorRt {
  ZOO_TENSORRT_FUNCTIONS(ZOO_DECLARE)
  std::string version;

  TensorRt(const void* plugin, const char* path) {
    const std::string file = "libnvinfer.so." + std::to_string(NV_TENSORRT_MAJOR);
    std::string why;
    const std::string beside = in_site_packages(plugin, ("tensorrt_libs/" + file).c_str());
    void* library = open_runtime(path, "ZOO_TENSORRT_LIBRARY", beside, {file.c_str()}, why);
    if (library == nullptr) throw Problem(why);
    ZOO_TENSORRT_FUNCTIONS(ZOO_FIND)
    const int32_t major = getInferLibMajorVersion(), minor = getInferLibMinorVersion();
    version = std::to_string(major) + "." + std::to_string(minor) + "." + std::to_string(getInferLibPatchVersion()) +
              "." + std::to_string(getInferLibBuildVersion());
    if (major != NV_TENSORRT_MAJOR || minor < NV_TENSORRT_MINOR)
      throw Problem("the plug-in was built for TensorRT " + std::to_string(NV_TENSORRT_MAJOR) + "." +
                    std::to_string(NV_TENSORRT_MINOR) + " and later of that major version, here is " + version);
  }
};

#undef ZOO_FIND
#undef ZOO_DECLARE
#undef ZOO_NAME_OF
#undef ZOO_TENSORRT_FUNCTIONS
#undef ZOO_CUDA_FUNCTIONS

// Makes the first GPU, to which the plug-in's memory and streams belong, the current one of this thread for as long as
// it lives.
class FirstGpu {
 public:
  explicit FirstGpu(const Cuda& cuda) : cuda_(cuda) {
    if (cuda_.cudaGetDevice(&before_) == cudaSuccess && before_ != 0) cuda_.cudaSetDevice(0);
  }
  ~FirstGpu() {
    if (before_ != 0) cuda_.cudaSetDevice(before_);
  }
  FirstGpu(const FirstGpu&) = delete;
  FirstGpu& operator=(const FirstGpu&) = delete;

 private:
  const Cuda& cuda_;
  int before_ = 0;
};

}  // namespace zoo_backend
