/* backend.h: the interface of a plug-in libzoo_backend_<name>.so. Programs that only run bundles never need it.
 *
 * A plug-in exports one symbol, zoo_backend_entry. It is loaded RTLD_LOCAL and never unloaded. Its functions are called
 * from any thread; those that take a session, by one thread at a time for one session.
 */
#ifndef ZOO_BACKEND_H
#define ZOO_BACKEND_H

#include <zoo/zoo.h>

#ifdef __cplusplus
extern "C" {
#endif

#define ZOO_BACKEND_ABI 1u

/* A graph and how it is to run. Borrowed until the call returns. For `score` the graph is empty. */
typedef struct zoo_backend_request {
  size_t struct_size;
  const void *graph; /* the ONNX file, its hash already checked */
  size_t graph_size;
  const char *graph_path;
  const char *precision;
  const char *device;
  int32_t threads;             /* at least 1 */
  const char *runtime_library; /* or NULL */
  const char *input, *output;  /* names in the graph */
  uint32_t height, width, outputs;
} zoo_backend_request;

/* What a plug-in fills in, as far as struct_size goes. Each function returns a status and may write to `error`. */
typedef struct zoo_backend_table {
  size_t struct_size;
  const char *name;
  /* 0, with a reason in `error`: the plug-in cannot run the request here. Otherwise the higher the better; for example, 100
   * for a compiler of the device's own vendor, 50 for a good runtime on the CPU. */
  int32_t (*score)(const zoo_backend_request *request, zoo_error *error);
  zoo_status (*open)(const zoo_backend_request *request, void **engine, zoo_error *error);
  void (*close)(void *engine);
  const char *(*runtime)(void *engine); /* name and version; lives as long as the engine */
  zoo_status (*session_create)(void *engine, void **session, zoo_error *error);
  void (*session_free)(void *session);
  /* uint8 [count, height, width, 3] to float32 [count, outputs]; count at least 1. */
  zoo_status (*run)(void *session, const uint8_t *images, int64_t count, float *logits, zoo_error *error);
} zoo_backend_table;

/* ZOO_E_VERSION if `host_abi` is not one that the plug-in was written for. */
ZOO_API zoo_status zoo_backend_entry(uint32_t host_abi, zoo_backend_table *table);

#ifdef __cplusplus
}
#endif

#endif /* ZOO_BACKEND_H */
