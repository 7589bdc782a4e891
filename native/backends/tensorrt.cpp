// The plug-in `tensorrt`: TensorRT 10.12 to 11 runs the plan that `zoo build --backend tensorrt` built from a graph.
// Python's zoo/engines/tensorrt/backend.py and plan.py do the same. The headers are needed to build the plug-in, the
// libraries to run it.
#include <algorithm>
#include <cstring>
#include <map>

#include "base/failure.hpp"
#include "backends/tensorrt_runtime.hpp"

namespace {

using namespace nvinfer1;
using namespace zoo_backend;
using zoo_impl::Bytes;
using zoo_impl::Failure;

constexpr size_t kGraphs = 16;  // batch sizes whose CUDA graph is kept; a graph costs some hundred kilobytes on the GPU

const void* here() { return reinterpret_cast<const void*>(&zoo_backend_entry); }

// The plan for this graph, this GPU and this TensorRT.
Built plan_for(const zoo_backend_request& request, const Processor& gpu, const std::string& tensorrt) {
  return find_built(request, "tensorrt", [&](const Sidecar& about) { return stale(about, gpu, tensorrt); });
}

int32_t score(const zoo_backend_request* request, zoo_error* error) {
  try {
    if (std::strcmp(request->device, "cuda") != 0)
      throw Problem(std::string("runs on device 'cuda', not on '") + request->device + "'");
    if (std::strcmp(request->precision, "int8") == 0)
      throw Problem("TensorRT reads the graph with signed activations: ask for precision 'int8s'");
    const Cuda cuda(here());
    const TensorRt tensorrt(here(), request->runtime_library);
    const FirstGpu gpu(cuda);
    if (request->graph_path != nullptr) plan_for(*request, cuda.gpu(), tensorrt.version);
    return 100;
  } catch (const std::exception& problem) {
    say(error, problem.what());
    return 0;
  }
}

// A loaded plan. Members are destroyed from the last to the first, in the order that TensorRT needs.
struct Engine {
  explicit Engine(const zoo_backend_request& request)
      : cuda(here()), tensorrt(here(), request.runtime_library), signature(request) {}

  void must(bool worked, const char* what) const {
    if (!worked) throw Problem(std::string("TensorRT cannot ") + what + ": " + log.last());
  }

  Cuda cuda;
  TensorRt tensorrt;
  Log log;
  std::string about;
  Signature signature;
  int64_t fewest = 0, most = 0;
  std::mutex contexts;  // one context is created at a time
  std::unique_ptr<IRuntime> runtime;
  std::unique_ptr<ICudaEngine> engine;
};

// Checks that the plan has one input, or one output, and that it is the bundle's.
void check_signature(const Engine& mine, TensorIOMode mode, const std::string& name, DataType type,
                     const int64_t* shape, int32_t rank) {
  const char* found = nullptr;
  int count = 0;
  for (int32_t i = 0; i < mine.engine->getNbIOTensors(); ++i) {
    const char* tensor = mine.engine->getIOTensorName(i);
    if (mine.engine->getTensorIOMode(tensor) == mode) found = tensor, ++count;
  }
  bool same = count == 1 && name == found && mine.engine->getTensorDataType(found) == type;
  if (same) {
    const Dims dims = mine.engine->getTensorShape(found);
    same = dims.nbDims == rank && std::equal(shape + 1, shape + rank, dims.d + 1);
  }
  if (!same) throw Problem("the plan's " + name + " is not the bundle's");
}

void load(Engine& mine, const zoo_backend_request& request) {
  const Built built = plan_for(request, mine.cuda.gpu(), mine.tensorrt.version);
  const Bytes plan = artefact(built);  // its SHA-256 is checked before TensorRT gets it
  mine.runtime.reset(
      static_cast<IRuntime*>(mine.tensorrt.createInferRuntime_INTERNAL(&mine.log, NV_TENSORRT_VERSION)));
  mine.must(mine.runtime != nullptr, "start");
  mine.runtime->setEngineHostCodeAllowed(built.about.has("VERSION_COMPATIBLE"));
  mine.engine.reset(mine.runtime->deserializeCudaEngine(plan.data(), plan.size()));
  mine.must(mine.engine != nullptr, "load the plan");
  const Signature& bundle = mine.signature;
  const int64_t in[] = {0, bundle.height, bundle.width, 3}, out[] = {0, bundle.outputs};
  check_signature(mine, TensorIOMode::kINPUT, bundle.input, DataType::kUINT8, in, 4);
  check_signature(mine, TensorIOMode::kOUTPUT, bundle.output, DataType::kFLOAT, out, 2);
  mine.fewest = mine.engine->getProfileShape(bundle.input.c_str(), 0, OptProfileSelector::kMIN).d[0];
  mine.most = mine.engine->getProfileShape(bundle.input.c_str(), 0, OptProfileSelector::kMAX).d[0];
  mine.must(1 <= mine.fewest && mine.fewest <= mine.most, "tell the plan's batch sizes");
}

zoo_status open(const zoo_backend_request* request, void** out, zoo_error* error) {
  return guarded(error, [&] {
    auto engine = std::make_unique<Engine>(*request);
    const FirstGpu gpu(engine->cuda);
    engine->about = "tensorrt " + engine->tensorrt.version;
    load(*engine, *request);
    *out = engine.release();
  });
}

void close(void* engine) {
  Engine* mine = static_cast<Engine*>(engine);
  const Cuda cuda = mine->cuda;
  const FirstGpu gpu(cuda);
  delete mine;
}

const char* runtime(void* engine) { return static_cast<Engine*>(engine)->about.c_str(); }

// What runs one batch size: a context, and the CUDA graph that was captured from it. The graph is only valid while the
// context lives.
struct Lane {
  std::unique_ptr<IExecutionContext> context;
  cudaGraphExec_t graph = nullptr;
};

// What one thread needs to run the plan: a stream, buffers whose addresses never change, and a CUDA graph for each
// batch size, which is captured once and replayed from then on.
class Session {
 public:
  explicit Session(Engine& engine)
      : engine_(engine),
        image_size_(engine.signature.image_bytes(1)),
        logits_size_(engine.signature.logits_bytes(1)) {
    const Cuda& cuda = engine.cuda;
    const size_t most = static_cast<size_t>(engine.most);
    try {
      cuda.done(cuda.cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking), "create a stream");
      scratch_size_ = engine.engine->getDeviceMemorySizeV2();
      device(&images_, most * image_size_);
      device(&logits_, most * logits_size_);
      device(&scratch_, static_cast<size_t>(std::max<int64_t>(1, scratch_size_)));
      // CUDA copies page-locked memory directly; other memory it would copy twice.
      cuda.done(cuda.cudaMallocHost(&host_images_, most * image_size_), "lock memory");
      cuda.done(cuda.cudaMallocHost(&host_logits_, most * logits_size_), "lock memory");
    } catch (...) {
      free_all();
      throw;
    }
  }
  ~Session() { free_all(); }
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  Engine& engine() { return engine_; }

  void run(const uint8_t* images, int64_t count, float* logits) {
    for (int64_t start = 0; start < count; start += engine_.most) {
      const int64_t part = std::min(count - start, engine_.most);
      one_batch(images + static_cast<size_t>(start) * image_size_, part, logits + start * engine_.signature.outputs);
    }
  }

 private:
  void device(void** memory, size_t size) {
    engine_.cuda.done(engine_.cuda.cudaMalloc(memory, size), "allocate memory on the GPU");
  }

  // A batch with fewer images than the plan's profile takes is filled up with black images.
  void one_batch(const uint8_t* images, int64_t count, float* logits) {
    const Cuda& cuda = engine_.cuda;
    const int64_t rows = std::max(count, engine_.fewest);
    const size_t given = static_cast<size_t>(count), all = static_cast<size_t>(rows);
    std::memcpy(host_images_, images, given * image_size_);
    std::memset(static_cast<uint8_t*>(host_images_) + given * image_size_, 0, (all - given) * image_size_);
    cuda.done(cuda.cudaMemcpyAsync(images_, host_images_, all * image_size_, cudaMemcpyHostToDevice, stream_), "copy");
    const cudaGraphExec_t graph = lane(rows).graph;
    cuda.done(cuda.cudaGraphLaunch(graph, stream_), "launch the graph");
    cuda.done(cuda.cudaMemcpyAsync(host_logits_, logits_, given * logits_size_, cudaMemcpyDeviceToHost, stream_), "copy");
    cuda.done(cuda.cudaStreamSynchronize(stream_), "finish");
    std::memcpy(logits, host_logits_, given * logits_size_);
  }

  // The lane of a batch size. It is made once: that sets shapes and addresses, and captures the graph.
  Lane& lane(int64_t rows) {
    if (const auto found = lanes_.find(rows); found != lanes_.end()) return found->second;
    const Cuda& cuda = engine_.cuda;
    Lane made;
    {
      // A captured graph uses the state of its context: each batch size has a context of its own. They run one after
      // the other and share their scratch memory.
      const std::lock_guard<std::mutex> turn(engine_.contexts);
      made.context.reset(engine_.engine->createExecutionContext(ExecutionContextAllocationStrategy::kUSER_MANAGED));
    }
    engine_.must(made.context != nullptr, "create an execution context");
    IExecutionContext& context = *made.context;
    context.setDeviceMemoryV2(scratch_, scratch_size_);
    context.setNvtxVerbosity(ProfilingVerbosity::kNONE);  // plans are built with DETAILED, which slows every launch
    engine_.must(context.setOptimizationProfileAsync(0, stream_), "choose the profile");
    const Signature& bundle = engine_.signature;
    Dims shape{};
    shape.nbDims = 4;
    shape.d[0] = rows, shape.d[1] = bundle.height, shape.d[2] = bundle.width, shape.d[3] = 3;
    engine_.must(context.setInputShape(bundle.input.c_str(), shape), "take this batch size");
    engine_.must(context.setTensorAddress(bundle.input.c_str(), images_), "take the input's address");
    engine_.must(context.setTensorAddress(bundle.output.c_str(), logits_), "take the output's address");
    engine_.must(context.inferShapes(0, nullptr) == 0, "infer the shapes");
    engine_.must(context.enqueueV3(stream_), "run");  // lazy initialisation must not happen during the capture
    cuda.done(cuda.cudaStreamSynchronize(stream_), "run");
    made.graph = captured(context);
    if (lanes_.size() >= kGraphs) drop(lanes_.begin());
    return lanes_.emplace(rows, std::move(made)).first->second;
  }

  cudaGraphExec_t captured(IExecutionContext& context) {
    const Cuda& cuda = engine_.cuda;
    cuda.done(cuda.cudaStreamBeginCapture(stream_, cudaStreamCaptureModeThreadLocal), "begin a capture");
    const bool queued = context.enqueueV3(stream_);
    cudaGraph_t graph = nullptr;
    cuda.done(cuda.cudaStreamEndCapture(stream_, &graph), "end a capture");
    cudaGraphExec_t ready = nullptr;
    const cudaError_t status =
        queued ? cuda.cudaGraphInstantiateWithFlags(&ready, graph, 0) : cudaErrorStreamCaptureInvalidated;
    cuda.cudaGraphDestroy(graph);
    engine_.must(queued, "run in a CUDA graph");
    cuda.done(status, "make a graph");
    return ready;
  }

  using Lanes = std::map<int64_t, Lane>;

  void drop(Lanes::iterator lane) {
    engine_.cuda.cudaGraphExecDestroy(lane->second.graph);  // before the context that it was captured from
    lanes_.erase(lane);
  }

  void free_all() {
    const Cuda& cuda = engine_.cuda;
    if (stream_ != nullptr) cuda.cudaStreamSynchronize(stream_);  // after an error, work may still be queued
    while (!lanes_.empty()) drop(lanes_.begin());
    for (void* memory : {images_, logits_, scratch_}) cuda.cudaFree(memory);
    for (void* memory : {host_images_, host_logits_}) cuda.cudaFreeHost(memory);
    if (stream_ != nullptr) cuda.cudaStreamDestroy(stream_);
  }

  Engine& engine_;
  const size_t image_size_, logits_size_;  // bytes of one image, and of its logits
  cudaStream_t stream_ = nullptr;
  void *images_ = nullptr, *logits_ = nullptr, *scratch_ = nullptr;  // on the GPU
  void *host_images_ = nullptr, *host_logits_ = nullptr;
  int64_t scratch_size_ = 0;
  Lanes lanes_;
};

zoo_status session_create(void* engine, void** out, zoo_error* error) {
  Engine& mine = *static_cast<Engine*>(engine);
  return guarded(error, [&] {
    const FirstGpu gpu(mine.cuda);
    *out = new Session(mine);
  });
}

void session_free(void* session) {
  Session* mine = static_cast<Session*>(session);
  const FirstGpu gpu(mine->engine().cuda);
  delete mine;
}

zoo_status run(void* session, const uint8_t* images, int64_t count, float* logits, zoo_error* error) {
  Session& mine = *static_cast<Session*>(session);
  return guarded(error, [&] {
    const FirstGpu gpu(mine.engine().cuda);
    mine.run(images, count, logits);
  });
}

}  // namespace

extern "C" ZOO_API zoo_status zoo_backend_entry(uint32_t host_abi, zoo_backend_table* table) {
  return hand_out(host_abi, table,
                  {sizeof(zoo_backend_table), "tensorrt", score, open, close, runtime, session_create, session_free, run});
}
