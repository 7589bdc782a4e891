// The plug-in `openvino`: OpenVINO on the CPU, by its C API. Its headers are needed to build the plug-in, its library
// to run it.
#include <openvino/c/openvino.h>

#include <cstring>
#include <memory>
#include <string>

#include "backends/plugin.hpp"
#include "backends/runtime_library.hpp"

namespace {

using zoo_backend::guarded;
using zoo_backend::hand_out;
using zoo_backend::Problem;
using zoo_backend::say;
using zoo_backend::Signature;

// The functions that are used. They are looked up in the library when a program runs.
#define ZOO_OPENVINO_FUNCTIONS(X)                                                                                  \
  X(ov_get_openvino_version) X(ov_version_free) X(ov_get_last_err_msg) X(ov_free) X(ov_core_create) X(ov_core_free) \
  X(ov_core_get_property) X(ov_core_read_model_from_memory_buffer) X(ov_core_compile_model) X(ov_model_free)        \
  X(ov_compiled_model_free) X(ov_compiled_model_get_property) X(ov_compiled_model_input) X(ov_compiled_model_output) \
  X(ov_compiled_model_create_infer_request) X(ov_output_const_port_free) X(ov_port_get_element_type)                \
  X(ov_tensor_create_from_host_ptr) X(ov_tensor_get_byte_size) X(ov_tensor_free) X(ov_infer_request_free)           \
  X(ov_infer_request_set_input_tensor) X(ov_infer_request_set_output_tensor) X(ov_infer_request_infer)

struct Library {
#define ZOO_DECLARE(name) decltype(&::name) name = nullptr;
  ZOO_OPENVINO_FUNCTIONS(ZOO_DECLARE)
#undef ZOO_DECLARE

  explicit Library(const char* path) {
    std::string why;
    const std::string beside = zoo_backend::in_site_packages(reinterpret_cast<const void*>(&zoo_backend_entry),
                                                             "openvino/libs/libopenvino_c.so.*");
    void* library =
        zoo_backend::open_runtime(path, "ZOO_OPENVINO_LIBRARY", beside, {"libopenvino_c.so"}, why);
    if (library == nullptr) throw Problem(why);
#define ZOO_FIND(name)                                                    \
  name = reinterpret_cast<decltype(name)>(dlsym(library, #name));         \
  if (name == nullptr) throw Problem("the library is not OpenVINO's C API: it has no " #name);
    ZOO_OPENVINO_FUNCTIONS(ZOO_FIND)
#undef ZOO_FIND
  }

  void check(ov_status_e status, const char* what) const {
    if (status == 0) return;
    const char* last = ov_get_last_err_msg();
    std::string text = last == nullptr ? "" : last;
    while (!text.empty() && text.back() == '\n') text.pop_back();
    // The last line says what is wrong; the lines before it say where in OpenVINO's sources.
    const size_t line = text.rfind('\n');
    throw Problem(std::string(what) + ": " + (line == std::string::npos ? text : text.substr(line + 1)));
  }

  // A property's text. OpenVINO allocated it and frees it here.
  std::string taken(char* value) const {
    std::string text = value == nullptr ? "" : value;
    ov_free(value);
    return text;
  }
};

template <typename Object>
struct Free {
  void (*function)(Object*) = nullptr;
  void operator()(Object* object) const { function(object); }
};

template <typename Object>
using Owned = std::unique_ptr<Object, Free<Object>>;

template <typename Object>
Owned<Object> owned(Object* object, void (*function)(Object*)) {
  return Owned<Object>(object, Free<Object>{function});
}

struct Engine {
  std::shared_ptr<const Library> library;
  std::string about;
  Signature signature;
  // Read from the model, because the numbers of element types differ between releases of OpenVINO.
  ov_element_type_e in_type{}, out_type{};
  Owned<ov_core_t> core;
  Owned<ov_compiled_model_t> model;
};

// An inference request, and tensors on the buffers of its latest run.
struct Session {
  Engine* engine;
  Owned<ov_infer_request_t> request;
  Owned<ov_tensor_t> in, out;
  const void* images = nullptr;
  const void* logits = nullptr;
  int64_t count = 0;
};

int32_t score(const zoo_backend_request* request, zoo_error* error) {
  try {
    const Library library(request->runtime_library);
    if (std::strcmp(request->device, "cpu") != 0)
      throw Problem(std::string("runs on the cpu here, not on '") + request->device + "'");
    return 40;
  } catch (const std::exception& problem) {
    say(error, problem.what());
    return 0;
  }
}

std::string version(const Library& library) {
  ov_version_t found{};
  library.check(library.ov_get_openvino_version(&found), "version");
  std::string text = std::string("openvino ") + (found.buildNumber == nullptr ? "?" : found.buildNumber);
  library.ov_version_free(&found);
  return text;
}

// The element type of the only input, or of the only output.
ov_element_type_e type_of(const Library& library, const ov_compiled_model_t* model,
                          decltype(&ov_compiled_model_input) end) {
  ov_output_const_port_t* port = nullptr;
  library.check(end(model, &port), "the graph must have one input and one output");
  const auto keep = owned(port, library.ov_output_const_port_free);
  ov_element_type_e type{};
  library.check(library.ov_port_get_element_type(port, &type), "element type");
  return type;
}

// Checks that a property has the value that was asked for.
void read_back(const Library& library, const ov_compiled_model_t* model, const char* key, const std::string& wanted) {
  char* value = nullptr;
  library.check(library.ov_compiled_model_get_property(model, key, &value), key);
  const std::string used = library.taken(value);
  if (used != wanted) throw Problem(std::string("was asked for ") + key + "=" + wanted + " and uses " + used);
}

zoo_status open(const zoo_backend_request* request, void** out, zoo_error* error) {
  return guarded(error, [&] {
    auto engine = std::make_unique<Engine>();
    engine->library = std::make_shared<const Library>(request->runtime_library);
    const Library& library = *engine->library;
    engine->about = version(library);
    engine->signature = Signature(*request);
    ov_core_t* core = nullptr;
    library.check(library.ov_core_create(&core), "cannot start");
    engine->core = owned(core, library.ov_core_free);

    const bool half = std::strcmp(request->precision, "fp16") == 0;
    if (half) {
      char* value = nullptr;
      library.check(library.ov_core_get_property(core, "CPU", "OPTIMIZATION_CAPABILITIES", &value), "capabilities");
      if (library.taken(value).find("FP16") == std::string::npos)
        throw Problem("this CPU has no fp16 arithmetic: use precision fp32 or int8");
    }
    ov_model_t* model = nullptr;
    library.check(library.ov_core_read_model_from_memory_buffer(core, static_cast<const char*>(request->graph),
                                                                request->graph_size, nullptr, &model),
                  "cannot read the graph");
    const auto keep = owned(model, library.ov_model_free);
    // Without this hint OpenVINO computes in bf16 wherever the CPU has it, and not in the precision of the graph.
    const std::string threads = std::to_string(request->threads), precision = half ? "f16" : "f32";
    ov_compiled_model_t* compiled = nullptr;
    library.check(library.ov_core_compile_model(core, model, "CPU", 6, &compiled, "PERFORMANCE_HINT", "LATENCY",
                                                "INFERENCE_NUM_THREADS", threads.c_str(), "INFERENCE_PRECISION_HINT",
                                                precision.c_str()),
                  "cannot compile the graph");
    engine->model = owned(compiled, library.ov_compiled_model_free);
    read_back(library, compiled, "INFERENCE_NUM_THREADS", threads);
    read_back(library, compiled, "INFERENCE_PRECISION_HINT", precision);
    engine->in_type = type_of(library, compiled, library.ov_compiled_model_input);
    engine->out_type = type_of(library, compiled, library.ov_compiled_model_output);
    *out = engine.release();
  });
}

void close(void* engine) { delete static_cast<Engine*>(engine); }

const char* runtime(void* engine) { return static_cast<Engine*>(engine)->about.c_str(); }

zoo_status session_create(void* engine, void** out, zoo_error* error) {
  Engine* shared = static_cast<Engine*>(engine);
  const Library& library = *shared->library;
  return guarded(error, [&] {
    ov_infer_request_t* request = nullptr;
    library.check(library.ov_compiled_model_create_infer_request(shared->model.get(), &request), "no request");
    *out = new Session{shared,
                       owned(request, library.ov_infer_request_free),
                       owned<ov_tensor_t>(nullptr, library.ov_tensor_free),
                       owned<ov_tensor_t>(nullptr, library.ov_tensor_free)};
  });
}

void session_free(void* session) { delete static_cast<Session*>(session); }

// A tensor on `data`, which it does not own. `size`: bytes.
Owned<ov_tensor_t> around(const Library& library, ov_element_type_e type, ov_shape_t shape, void* data, size_t size) {
  ov_tensor_t* tensor = nullptr;
  library.check(library.ov_tensor_create_from_host_ptr(type, shape, data, &tensor), "no tensor");
  auto keep = owned(tensor, library.ov_tensor_free);
  size_t bytes = 0;
  library.check(library.ov_tensor_get_byte_size(tensor, &bytes), "no size");
  if (bytes != size) throw Problem("the graph is not uint8 in and float32 out");
  return keep;
}

zoo_status run(void* session, const uint8_t* images, int64_t count, float* logits, zoo_error* error) {
  Session& mine = *static_cast<Session*>(session);
  const Engine& engine = *mine.engine;
  const Library& library = *engine.library;
  return guarded(error, [&] {
    if (images != mine.images || logits != mine.logits || count != mine.count) {
      mine.count = 0;  // nothing is kept if one of the two cannot be made
      const Signature& about = engine.signature;
      int64_t in_shape[] = {count, about.height, about.width, 3}, out_shape[] = {count, about.outputs};
      mine.in = around(library, engine.in_type, {4, in_shape}, const_cast<uint8_t*>(images), about.image_bytes(count));
      mine.out = around(library, engine.out_type, {2, out_shape}, logits, about.logits_bytes(count));
      library.check(library.ov_infer_request_set_input_tensor(mine.request.get(), mine.in.get()), "input");
      library.check(library.ov_infer_request_set_output_tensor(mine.request.get(), mine.out.get()), "output");
      mine.images = images;
      mine.logits = logits;
      mine.count = count;
    }
    library.check(library.ov_infer_request_infer(mine.request.get()), "cannot run");
  });
}

}  // namespace

extern "C" ZOO_API zoo_status zoo_backend_entry(uint32_t host_abi, zoo_backend_table* table) {
  return hand_out(host_abi, table,
                  {sizeof(zoo_backend_table), "openvino", score, open, close, runtime, session_create, session_free, run});
}
