// The plug-ins on ONNX Runtime: what they have in common. The library is that of the pip wheel, of the system, or a
// named one; onnxruntime_graph.hpp says what differs.
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <iterator>
#include <memory>
#include <string>

#include "backends/onnxruntime_graph.hpp"
#include "backends/plugin.hpp"
#include "backends/runtime_library.hpp"

namespace {

using zoo_backend::guarded;
using zoo_backend::hand_out;
using zoo_backend::Problem;
using zoo_backend::say;
using zoo_backend::Signature;
template <typename Object>
using Owned = ort::Api::Owned<Object>;

struct Runtime {
  const ort::Base* base = nullptr;
  ort::Api api;
  std::string version;
};

// The wheel for Linux keeps usage events under ~/.cache and sends them, the first one as soon as there is an Env:
// before its function table can forbid that. A library inside other people's programs must not send anything unless it
// is asked to, so that this sets ORT_DISABLE_TELEMETRY=1, unless the variable is set already. Returns whether it did.
// Not by setenv, which may free the list that another thread's getenv is reading: the new list is never freed.
bool forbid_telemetry() {
  static char entry[] = "ORT_DISABLE_TELEMETRY=1";
  static const bool forbidden = [] {
    if (std::getenv("ORT_DISABLE_TELEMETRY") != nullptr) return false;
    size_t count = 0;
    while (environ != nullptr && environ[count] != nullptr) ++count;
    char** grown = new char*[count + 2];
    if (count > 0) std::memcpy(grown, environ, count * sizeof(char*));
    grown[count] = entry;
    grown[count + 1] = nullptr;
    environ = grown;
    return true;
  }();
  return forbidden;
}

// Opens ONNX Runtime; false, with a reason in `why`, where that fails. A library is never closed: pointers into it stay
// valid.
bool load(const char* path, Runtime& runtime, std::string& why) {
  const std::string beside = zoo_backend::in_site_packages(reinterpret_cast<const void*>(&zoo_backend_entry),
                                                           "onnxruntime/capi/libonnxruntime.so.*");
  void* library = zoo_backend::open_runtime(path, "ZOO_ONNXRUNTIME_LIBRARY", beside,
                                            {"libonnxruntime.so.1", "libonnxruntime.so"}, why);
  if (library == nullptr) return false;
  const auto base = reinterpret_cast<const ort::Base* (*)()>(dlsym(library, "OrtGetApiBase"));
  if (base == nullptr) {
    why = "the library is not ONNX Runtime: it has no OrtGetApiBase";
    return false;
  }
  runtime.base = base();
  runtime.version = runtime.base->GetVersionString();
  runtime.api = ort::Api(runtime.base->GetApi(ort::kSessionVersion));
  if (!runtime.api) why = "ONNX Runtime " + runtime.version + " is older than 1." + std::to_string(ort::kSessionVersion);
  return static_cast<bool>(runtime.api);
}

struct Engine {
  Runtime runtime;
  std::string about;
  Signature signature;
  Owned<ort::Env> env;
  Owned<ort::MemoryInfo> memory;
  Owned<ort::Session> session;
};

// ONNX Runtime wraps buffers in objects, each of which costs an allocation: they are kept as long as the buffers stay
// the same.
struct Session {
  Engine* engine;
  const void* images = nullptr;
  const void* logits = nullptr;
  int64_t count = 0;
  Owned<ort::Value> in, out;
};

bool on_cuda(const zoo_backend_request& request) { return std::strcmp(request.device, "cuda") == 0; }

bool has_cuda(const ort::Api& api) {
  const std::vector<std::string> all = api.providers();
  return std::find(all.begin(), all.end(), "CUDAExecutionProvider") != all.end();
}

int32_t score(const zoo_backend_request* request, zoo_error* error) {
  try {
    Runtime runtime;
    std::string why;
    if (!load(request->runtime_library, runtime, why)) throw Problem(why);
    if (zoo_backend::kCuda && on_cuda(*request)) {
      if (!has_cuda(runtime.api)) throw Problem("ONNX Runtime " + runtime.version + " was built without CUDA");
      return 60;
    }
    if (std::strcmp(request->device, "cpu") != 0)
      throw Problem(std::string("no device '") + request->device +
                    (zoo_backend::kCuda ? "'; there are: cpu, cuda" : "'; there is: cpu"));
    return zoo_backend::cpu_score(*request);
  } catch (const std::exception& problem) {
    say(error, problem.what());
    return 0;
  }
}

zoo_status open(const zoo_backend_request* request, void** out, zoo_error* error) {
  try {
    auto engine = std::make_unique<Engine>();
    std::string why;
    if (!load(request->runtime_library, engine->runtime, why)) throw Problem(why);
    const ort::Api& api = engine->runtime.api;
    engine->about = "onnxruntime " + engine->runtime.version;
    engine->signature = Signature(*request);
    const bool forbidden = forbid_telemetry();
    engine->env = api.create_env(ort::kErrors, "zoo");
    if (forbidden) api.disable_telemetry(engine->env.get());
    engine->memory = api.create_cpu_memory(ort::kDeviceAllocator, ort::kDefaultMemory);
    const auto options = api.create_options();
    api.set_intra_threads(options.get(), request->threads);
    api.set_inter_threads(options.get(), 1);
    api.set_log_level(options.get(), ort::kErrors);
    zoo_backend::prepare(api, options.get(), engine->runtime.base);
    if (on_cuda(*request)) {
      // Without this, whatever CUDA cannot do would silently run on the CPU.
      api.set_config(options.get(), "session.disable_cpu_ep_fallback", "1");
      const auto cuda = api.create_cuda_options();
      // As in zoo/engines/onnxruntime/cuda.py: every algorithm of cuDNN is timed, tensor cores take NHWC, and fp32 is
      // not computed in TF32, whose mantissa has 10 bits.
      const char* const keys[] = {"use_tf32", "cudnn_conv_algo_search", "cudnn_conv_use_max_workspace", "prefer_nhwc"};
      const char* const values[] = {"0", "EXHAUSTIVE", "1", "1"};
      api.update_cuda_options(cuda.get(), keys, values, std::size(keys));
      api.append_cuda(options.get(), cuda.get());
    }
    const zoo_backend::Graph graph = zoo_backend::graph_of(*request);
    engine->session = api.create_session(engine->env.get(), graph.data, graph.size, options.get());
    *out = engine.release();
    return ZOO_OK;
  } catch (const std::bad_alloc&) {
    return ZOO_E_MEMORY;
  } catch (const std::exception& problem) {
    say(error, "cannot run the graph on " + std::string(request->device) + ": " + problem.what());
    return on_cuda(*request) ? ZOO_E_DEVICE : ZOO_E_BACKEND;
  }
}

void close(void* engine) { delete static_cast<Engine*>(engine); }

const char* runtime(void* engine) { return static_cast<Engine*>(engine)->about.c_str(); }

zoo_status session_create(void* engine, void** out, zoo_error*) {
  *out = new (std::nothrow) Session{static_cast<Engine*>(engine), nullptr, nullptr, 0, nullptr, nullptr};
  return *out == nullptr ? ZOO_E_MEMORY : ZOO_OK;
}

void session_free(void* session) { delete static_cast<Session*>(session); }

zoo_status run(void* session, const uint8_t* images, int64_t count, float* logits, zoo_error* error) {
  Session& mine = *static_cast<Session*>(session);
  const Engine& engine = *mine.engine;
  const ort::Api& api = engine.runtime.api;
  return guarded(error, [&] {
    if (images != mine.images || logits != mine.logits || count != mine.count) {
      mine.count = 0;  // nothing is kept if one of the two cannot be made
      const Signature& about = engine.signature;
      const int64_t in_shape[] = {count, about.height, about.width, 3}, out_shape[] = {count, about.outputs};
      mine.in = api.create_tensor(engine.memory.get(), const_cast<uint8_t*>(images), about.image_bytes(count), in_shape, 4,
                                  ort::kUint8);
      mine.out = api.create_tensor(engine.memory.get(), logits, about.logits_bytes(count), out_shape, 2, ort::kFloat);
      mine.images = images;
      mine.logits = logits;
      mine.count = count;
    }
    api.run(engine.session.get(), engine.signature.input.c_str(), mine.in.get(), engine.signature.output.c_str(),
            mine.out.get());
  });
}

}  // namespace

extern "C" ZOO_API zoo_status zoo_backend_entry(uint32_t host_abi, zoo_backend_table* table) {
  return hand_out(host_abi, table,
                  {sizeof(zoo_backend_table), zoo_backend::kName, score, open, close, runtime, session_create,
                   session_free, run});
}
