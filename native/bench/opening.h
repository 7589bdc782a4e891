/* Times of opening a model up to its first logits, beside the plug-in's own opening of the same graph. */
#ifndef ZOO_BENCH_OPENING_H
#define ZOO_BENCH_OPENING_H

#include <zoo/backend.h>

#include "common.h"

/* The plug-in that libzoo chose, called without libzoo for the same graph. It holds pointers into itself and must not be
 * moved. */
typedef struct plugin {
  char file[4096], graph_path[4096], backend[64], precision[64], device[64], input[16], output[16];
  zoo_model_info info; /* its numbers only: the texts belong to a model that may be freed */
  zoo_backend_request request;
  zoo_backend_table table;
  buffer graph;
} plugin;

/* Fill in which plug-in libzoo chooses. Opens the model in a process of its own: no plug-in is loaded into this one. */
void find_plugin(plugin *p, const char *bundle, const zoo_options *options);
/* Load it and read the graph; from then on `table` and `request` may be used. */
void load_plugin(plugin *p);

/* In nanoseconds. */
typedef struct openings {
  double load[REPEATS];    /* libzoo: from the bundle's path to a context */
  double first[REPEATS];   /* libzoo: the first zoo_run */
  double backend[REPEATS]; /* the plug-in: from the files' names to an opened graph */
} openings;

/* Each time in a new process. This process must not have loaded a plug-in or a runtime yet. */
void open_cold(openings *times, plugin *p, const char *bundle, const zoo_options *options, int64_t batch);
/* In this process, which has opened the model already. */
void open_again(openings *times, plugin *p, const char *bundle, const zoo_options *options, tensors *t);

void print_openings(const char *name, const openings *times);

#endif
