// A CUDA runtime without a GPU, for tests of the TensorRT plug-in: memory is the host's, and work is done when it is
// queued, except during a capture, when it goes into the graph. What is not freed at the end is told on stderr.
#include <cuda_runtime_api.h>

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <set>
#include <mutex>
#include <vector>

using Work = std::function<void()>;

struct CUstream_st {
  std::vector<Work>* capture = nullptr;
};
struct CUgraph_st {
  std::vector<Work> work;
};
struct CUgraphExec_st {
  std::vector<Work> work;
};

namespace {
std::atomic<int> live{0}, launches{0};

struct AtTheEnd {
  ~AtTheEnd() { std::fprintf(stderr, "fake cuda: %d alive, graphs were launched: %d\n", live.load(), launches > 0); }
} at_the_end;
}  // namespace

// For the fake TensorRT: queue `work`.
void fake_queue(cudaStream_t stream, Work work) {
  if (stream->capture != nullptr) stream->capture->push_back(std::move(work));
  else work();
}

extern "C" {
const char* cudaGetErrorString(cudaError_t) { return "a fake error"; }
cudaError_t cudaDriverGetVersion(int* version) { return *version = 13000, cudaSuccess; }
cudaError_t cudaRuntimeGetVersion(int* version) { return *version = CUDART_VERSION, cudaSuccess; }
cudaError_t cudaGetDeviceCount(int* count) { return *count = std::getenv("FAKE_NO_GPU") == nullptr, cudaSuccess; }
cudaError_t cudaGetDevice(int* device) { return *device = 0, cudaSuccess; }
cudaError_t cudaSetDevice(int) { return cudaSuccess; }
cudaError_t cudaGetDeviceProperties(cudaDeviceProp* about, int) {
  std::strcpy(about->name, "Fake GPU");
  about->major = 9, about->minor = 0;
  return cudaSuccess;
}
cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned) {
  return ++live, *stream = new CUstream_st, cudaSuccess;
}
cudaError_t cudaStreamDestroy(cudaStream_t stream) { return --live, delete stream, cudaSuccess; }
cudaError_t cudaStreamSynchronize(cudaStream_t stream) {
  return stream->capture == nullptr ? cudaSuccess : cudaErrorStreamCaptureUnsupported;
}
cudaError_t cudaStreamBeginCapture(cudaStream_t stream, cudaStreamCaptureMode mode) {
  if (mode != cudaStreamCaptureModeThreadLocal) return cudaErrorInvalidValue;
  return stream->capture = new std::vector<Work>, cudaSuccess;
}
cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t* graph) {
  ++live;
  *graph = new CUgraph_st{*stream->capture};
  delete stream->capture;
  return stream->capture = nullptr, cudaSuccess;
}
cudaError_t cudaMalloc(void** memory, size_t size) { return ++live, *memory = std::malloc(size), cudaSuccess; }
cudaError_t cudaFree(void* memory) { return live -= memory != nullptr, std::free(memory), cudaSuccess; }
cudaError_t cudaMallocHost(void** memory, size_t size) { return cudaMalloc(memory, size); }
cudaError_t cudaFreeHost(void* memory) { return cudaFree(memory); }
cudaError_t cudaMemcpyAsync(void* to, const void* from, size_t size, cudaMemcpyKind, cudaStream_t stream) {
  return fake_queue(stream, [=] { std::memcpy(to, from, size); }), cudaSuccess;
}
cudaError_t cudaGraphInstantiateWithFlags(cudaGraphExec_t* ready, cudaGraph_t graph, unsigned long long) {
  return ++live, *ready = new CUgraphExec_st{graph->work}, cudaSuccess;
}
cudaError_t cudaGraphLaunch(cudaGraphExec_t graph, cudaStream_t stream) {
  ++launches;
  return fake_queue(stream, [graph] { for (const Work& work : graph->work) work(); }), cudaSuccess;
}
cudaError_t cudaGraphDestroy(cudaGraph_t graph) { return --live, delete graph, cudaSuccess; }
cudaError_t cudaGraphExecDestroy(cudaGraphExec_t graph) { return --live, delete graph, cudaSuccess; }
}
