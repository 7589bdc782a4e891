#define _XOPEN_SOURCE 700 /* and with it POSIX 2008 */
#include "opening.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* Call `work` in a process of its own; what it writes to `result`, `size` bytes, arrives in `result` here. */
static void in_a_process(void (*work)(void *given, void *result), void *given, void *result, size_t size) {
  int ends[2], status = 0;
  char *into = result;
  ssize_t got = 0;
  pid_t child = -1;
  fflush(stdout); /* nothing is printed twice */
  if (pipe(ends) != 0 || (child = fork()) < 0) die("cannot start a process");
  if (child == 0) {
    work(given, result);
    for (; size > 0 && (got = write(ends[1], into, size)) > 0; size -= (size_t)got) into += got;
    _exit(size == 0 ? 0 : 2); /* without shutting down the runtime: the system frees what a process had */
  }
  close(ends[1]);
  for (; size > 0 && (got = read(ends[0], into, size)) > 0; size -= (size_t)got) into += got;
  close(ends[0]);
  waitpid(child, &status, 0);
  if (size > 0 || status != 0) exit(2); /* the child has printed why */
}

typedef struct opening {
  plugin *p;
  const char *bundle;
  const zoo_options *options;
  int64_t batch;
} opening;

static void remember_file(void *user, const zoo_backend_info *info) {
  plugin *p = user;
  if (strcmp(info->name, p->backend) == 0) snprintf(p->file, sizeof p->file, "%s", info->file);
}

static void describe(void *given, void *result) {
  const opening *a = given;
  plugin *p = result;
  zoo_model *model = NULL;
  zoo_model_info *info = &p->info;
  info->struct_size = sizeof *info;
  check(zoo_model_open(a->bundle, a->options, &model, &error), "zoo_model_open");
  check(zoo_model_selftest(model, NULL, &error), "a bundle whose logits are wrong is not timed");
  check(zoo_model_describe(model, info, &error), "zoo_model_describe");
  snprintf(p->backend, sizeof p->backend, "%s", info->backend);
  snprintf(p->precision, sizeof p->precision, "%s", info->precision);
  snprintf(p->device, sizeof p->device, "%s", info->device);
  snprintf(p->graph_path, sizeof p->graph_path, "%s/model.%s.onnx", a->bundle, info->precision);
  snprintf(p->input, sizeof p->input, "image");
  snprintf(p->output, sizeof p->output, "%s", info->task == ZOO_KEYPOINTS ? "points" : "logits");
  check(zoo_backends_visit(a->options, remember_file, p, &error), "zoo_backends_visit");
  if (p->file[0] == '\0') die("libzoo does not list the plug-in that it chose");
}

void find_plugin(plugin *p, const char *bundle, const zoo_options *options) {
  opening a = {NULL, bundle, options, 0};
  memset(p, 0, sizeof *p);
  in_a_process(describe, &a, p, sizeof *p);
}

void load_plugin(plugin *p) {
  void *library = dlopen(p->file, RTLD_NOW | RTLD_LOCAL);
  zoo_status (*entry)(uint32_t, zoo_backend_table *) = NULL;
  if (library != NULL) *(void **)&entry = dlsym(library, "zoo_backend_entry");
  p->table.struct_size = sizeof p->table;
  if (entry == NULL || entry(ZOO_BACKEND_ABI, &p->table) != ZOO_OK) die("the plug-in cannot be loaded");
  p->graph = read_whole(p->graph_path);
  p->request.struct_size = sizeof p->request;
  p->request.graph = p->graph.bytes, p->request.graph_size = p->graph.size, p->request.graph_path = p->graph_path;
  p->request.precision = p->precision, p->request.device = p->device, p->request.threads = p->info.threads;
  p->request.input = p->input, p->request.output = p->output;
  p->request.height = p->info.height, p->request.width = p->info.width, p->request.outputs = p->info.outputs;
}

/* times[0]: from the bundle's path to a context; times[1]: the first call. */
static void time_libzoo(const char *bundle, const zoo_options *options, tensors *t, double *times) {
  zoo_model *model = NULL;
  zoo_context *context = NULL;
  double start = now();
  check(zoo_model_open(bundle, options, &model, &error), "zoo_model_open");
  check(zoo_context_create(model, &context, &error), "zoo_context_create");
  times[0] = now() - start;
  start = now();
  check(zoo_run(context, &t->in, &t->out, &error), "zoo_run");
  times[1] = now() - start;
  zoo_context_free(context);
  zoo_model_free(model);
}

static double time_plugin(plugin *p) {
  void *engine = NULL;
  double start = now();
  check(p->table.open(&p->request, &engine, &error), "the plug-in's open");
  start = now() - start;
  p->table.close(engine);
  return start;
}

static void cold_libzoo(void *given, void *result) {
  const opening *a = given;
  tensors t = new_tensors(&a->p->info, a->batch);
  time_libzoo(a->bundle, a->options, &t, result);
}

/* What a program without libzoo does instead: load the library, read the graph, open it. */
static void cold_plugin(void *given, void *result) {
  const opening *a = given;
  double start = now();
  load_plugin(a->p);
  start = now() - start;
  *(double *)result = start + time_plugin(a->p);
}

void open_cold(openings *times, plugin *p, const char *bundle, const zoo_options *options, int64_t batch) {
  opening a = {p, bundle, options, batch};
  double both[2];
  int i;
  for (i = 0; i < REPEATS; i++) {
    in_a_process(cold_libzoo, &a, both, sizeof both);
    times->load[i] = both[0], times->first[i] = both[1];
    in_a_process(cold_plugin, &a, &times->backend[i], sizeof times->backend[i]);
  }
}

void open_again(openings *times, plugin *p, const char *bundle, const zoo_options *options, tensors *t) {
  double both[2];
  int i;
  for (i = 0; i < REPEATS; i++) {
    time_libzoo(bundle, options, t, both);
    times->load[i] = both[0], times->first[i] = both[1];
    times->backend[i] = time_plugin(p);
  }
}

void print_openings(const char *name, const openings *times) {
  printf("  \"%s\": {", name);
  print_list("load", times->load, REPEATS);
  printf(", ");
  print_list("first", times->first, REPEATS);
  printf(", ");
  print_list("backend", times->backend, REPEATS);
  printf("},\n");
}
