// What the plug-ins that stand on ONNX Runtime share; onnxruntime_source.hpp says what not. The library is the one of the
// pip wheel, of the system, or one that is named.
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <iterator>
#include <memory>
#include <stdexcept>
#include <string>

#include "backends/onnxruntime_source.hpp"
#include "backends/runtime_library.hpp"

namespace {

using zoo_backend::guarded;
using zoo_backend::hand_out;
using zoo_backend::say;

struct Runtime {
  const ort::Base* base = nullptr;
  ort::Api api;
  std::string version;
};

// The wheel for Linux keeps usage events under ~/.cache and sends them, the first as soon as there is an Env, which is
// before its function table can forbid it. A library inside other people's programs does neither without being asked. Who
// has set the variable decides; true where nobody has, and it is set now. Not by setenv, which may free the list that
// another thread's getenv walks through: the new list is never freed.
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

// Loaded once for each path that is asked for; libraries stay, so that pointers into them do.
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
  runtime.api = ort::Api(runtime.base->GetApi(ort::kVersion));
  if (!runtime.api) why = "ONNX Runtime " + runtime.version + " is older than 1." + std::to_string(ort::kVersion);
  return static_cast<bool>(runtime.api);
}

// Frees an object of the runtime with the runtime's own function.
struct Release {
  ort::Api api;
  template <typename Object>
  void operator()(Object* object) const { api.release(object); }
};

template <typename Object>
using Owned = std::unique_ptr<Object, Release>;

struct Problem : std::runtime_error {
  using std::runtime_error::runtime_error;
};

void check(const ort::Api& api, ort::Status* status) {
  if (status == nullptr) return;
  const Owned<ort::Status> owned(status, Release{api});
  throw Problem(api.message(status));
}

// `make` writes the new object to the pointer it is given.
template <typename Object, typename Make>
Owned<Object> made(const ort::Api& api, Make&& make) {
  Object* object = nullptr;
  check(api, make(&object));
  return Owned<Object>(object, Release{api});
}

struct Engine {
  Runtime runtime;
  std::string about, input, output;
  int64_t height = 0, width = 0, outputs = 0;
  Owned<ort::Env> env;
  Owned<ort::MemoryInfo> memory;
  Owned<ort::Session> session;
};

// ONNX Runtime wraps buffers in objects that cost an allocation each: they are kept while the buffers stay the same.
struct Session {
  Engine* engine;
  const void* images = nullptr;
  const void* answers = nullptr;
  int64_t count = 0;
  Owned<ort::Value> in, out;
};

bool on_cuda(const zoo_backend_request& request) { return std::strcmp(request.device, "cuda") == 0; }

bool has_cuda(const ort::Api& api) {
  char** names = nullptr;
  int count = 0;
  check(api, api.providers(&names, &count));
  bool found = false;
  for (int i = 0; i < count; ++i) found = found || std::strcmp(names[i], "CUDAExecutionProvider") == 0;
  check(api, api.release_providers(names, count));
  return found;
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
    engine->input = request->input;
    engine->output = request->output;
    engine->height = request->height;
    engine->width = request->width;
    engine->outputs = request->outputs;
    const bool forbidden = forbid_telemetry();
    engine->env = made<ort::Env>(api, [&](ort::Env** env) { return api.create_env(ort::kErrors, "zoo", env); });
    if (forbidden) check(api, api.disable_telemetry(engine->env.get()));
    engine->memory = made<ort::MemoryInfo>(api, [&](ort::MemoryInfo** memory) {
      return api.create_cpu_memory(ort::kDeviceAllocator, ort::kDefaultMemory, memory);
    });
    const auto options =
        made<ort::SessionOptions>(api, [&](ort::SessionOptions** made) { return api.create_options(made); });
    check(api, api.set_intra_threads(options.get(), request->threads));
    check(api, api.set_inter_threads(options.get(), 1));
    check(api, api.set_log_level(options.get(), ort::kErrors));
    check(api, zoo_backend::prepare(options.get(), engine->runtime.base));
    if (on_cuda(*request)) {
      // Without this, whatever CUDA cannot do would silently run on the CPU.
      check(api, api.set_config(options.get(), "session.disable_cpu_ep_fallback", "1"));
      const auto cuda =
          made<ort::CudaOptions>(api, [&](ort::CudaOptions** made) { return api.create_cuda_options(made); });
      // As in zoo/engines/onnxruntime_cuda.py: every algorithm of cuDNN is timed, tensor cores take NHWC, and fp32 is not
      // computed in TF32, whose mantissa has 10 bits.
      const char* const keys[] = {"use_tf32", "cudnn_conv_algo_search", "cudnn_conv_use_max_workspace", "prefer_nhwc"};
      const char* const values[] = {"0", "EXHAUSTIVE", "1", "1"};
      check(api, api.update_cuda_options(cuda.get(), keys, values, std::size(keys)));
      check(api, api.append_cuda(options.get(), cuda.get()));
    }
    const zoo_backend::Graph graph = zoo_backend::graph_of(*request);
    engine->session = made<ort::Session>(api, [&](ort::Session** session) {
      return api.create_session(engine->env.get(), graph.data, graph.size, options.get(), session);
    });
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
  Engine* shared = static_cast<Engine*>(engine);
  const Release release{shared->runtime.api};
  *out = new (std::nothrow) Session{shared, nullptr, nullptr, 0, {nullptr, release}, {nullptr, release}};
  return *out == nullptr ? ZOO_E_MEMORY : ZOO_OK;
}

void session_free(void* session) { delete static_cast<Session*>(session); }

zoo_status run(void* session, const uint8_t* images, int64_t count, float* answers, zoo_error* error) {
  Session& mine = *static_cast<Session*>(session);
  const Engine& engine = *mine.engine;
  const ort::Api& api = engine.runtime.api;
  return guarded(error, [&] {
    if (images != mine.images || answers != mine.answers || count != mine.count) {
      mine.count = 0;  // nothing is kept if one of the two cannot be made
      const int64_t in_shape[] = {count, engine.height, engine.width, 3}, out_shape[] = {count, engine.outputs};
      const size_t in_size = static_cast<size_t>(count * engine.height * engine.width * 3);
      const size_t out_size = static_cast<size_t>(count * engine.outputs) * sizeof(float);
      mine.in = made<ort::Value>(api, [&](ort::Value** value) {
        return api.create_tensor(engine.memory.get(), const_cast<uint8_t*>(images), in_size, in_shape, 4, ort::kUint8,
                                 value);
      });
      mine.out = made<ort::Value>(api, [&](ort::Value** value) {
        return api.create_tensor(engine.memory.get(), answers, out_size, out_shape, 2, ort::kFloat, value);
      });
      mine.images = images;
      mine.answers = answers;
      mine.count = count;
    }
    const char* const inputs[] = {engine.input.c_str()};
    const char* const outputs[] = {engine.output.c_str()};
    const ort::Value* const given[] = {mine.in.get()};
    ort::Value* wanted[] = {mine.out.get()};
    check(api, api.run(engine.session.get(), inputs, given, 1, outputs, 1, wanted));
  });
}

}  // namespace

extern "C" ZOO_API zoo_status zoo_backend_entry(uint32_t host_abi, zoo_backend_table* table) {
  return hand_out(host_abi, table,
                  {sizeof(zoo_backend_table), zoo_backend::kName, score, open, close, runtime, session_create, session_free, run});
}
