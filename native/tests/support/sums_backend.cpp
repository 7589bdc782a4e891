// A backend for tests: logit j is the mean of those image bytes, divided by 255, whose index modulo the number of
// outputs is j, plus the graph's first byte / 256. It allocates nothing when it runs.
#include <cstring>
#include <new>

#include "zoo/backend.h"

namespace {

struct Engine {
  size_t pixels;
  uint32_t outputs;
  float offset;
};

int32_t score(const zoo_backend_request* request, zoo_error* error) {
  if (std::strcmp(request->device, "cpu") == 0) return 1;
  std::strcpy(error->text, "sums are done on the cpu");
  return 0;
}

zoo_status open(const zoo_backend_request* request, void** engine, zoo_error* error) {
  if (request->graph_size == 0) {
    std::strcpy(error->text, "the graph is empty");
    return ZOO_E_BACKEND;
  }
  const float offset = static_cast<float>(*static_cast<const unsigned char*>(request->graph)) / 256;
  *engine = new (std::nothrow) Engine{size_t{request->height} * request->width * 3, request->outputs, offset};
  return *engine == nullptr ? ZOO_E_MEMORY : ZOO_OK;
}

void close(void* engine) { delete static_cast<Engine*>(engine); }

const char* runtime(void*) { return "sums 1.0"; }

zoo_status session_create(void* engine, void** session, zoo_error*) {
  *session = new (std::nothrow) Engine(*static_cast<Engine*>(engine));
  return *session == nullptr ? ZOO_E_MEMORY : ZOO_OK;
}

void session_free(void* session) { delete static_cast<Engine*>(session); }

zoo_status run(void* session, const uint8_t* images, int64_t count, float* logits, zoo_error*) {
  const Engine& engine = *static_cast<const Engine*>(session);
  for (int64_t i = 0; i < count; ++i, images += engine.pixels, logits += engine.outputs)
    for (uint32_t j = 0; j < engine.outputs; ++j) {
      uint64_t sum = 0, many = 0;
      for (size_t at = j; at < engine.pixels; at += engine.outputs, ++many) sum += images[at];
      logits[j] = many == 0 ? 0.0f : static_cast<float>(static_cast<double>(sum) / (255.0 * static_cast<double>(many)));
      logits[j] += engine.offset;
    }
  return ZOO_OK;
}

}  // namespace

extern "C" ZOO_API zoo_status zoo_backend_entry(uint32_t host_abi, zoo_backend_table* table) {
  if (host_abi != ZOO_BACKEND_ABI || table->struct_size < sizeof(zoo_backend_table)) return ZOO_E_VERSION;
  *table = {sizeof(zoo_backend_table), "sums", score, open, close, runtime, session_create, session_free, run};
  return ZOO_OK;
}
