/* What the parts of zoo-native-bench share. */
#ifndef ZOO_BENCH_H
#define ZOO_BENCH_H

#include <stddef.h>

#include <zoo/backend.h>
#include <zoo/zoo.h>

#define OPENINGS 6 /* the fewest whose range is a 95 % interval of the median */

extern zoo_error error;

/* Say what went wrong, with the text of `error`, and end. */
void die(const char *what);
void check(zoo_status status, const char *what);
void *have(void *memory);
double now(void); /* nanoseconds */

typedef struct buffer {
  unsigned char *bytes;
  size_t size;
} buffer;

buffer read_whole(const char *path);

/* Images and answers of a network, and memory for `batch` of them. */
typedef struct tensors {
  zoo_tensor in, out;
} tensors;

tensors new_tensors(const zoo_model_info *info, int64_t batch);
void free_tensors(tensors *t);

/* The plug-in that libzoo chose, asked directly for the same graph. Holds pointers into itself: it stays where it is. */
typedef struct plugin {
  char file[4096], graph_path[4096], backend[64], precision[64], device[64], input[16], output[16];
  zoo_model_info face; /* its numbers only: the texts belong to a model that may be gone */
  zoo_backend_request request;
  zoo_backend_table table;
  buffer graph;
} plugin;

/* Find it out: opens the model and frees it. Loads no plug-in into this process. */
void find_plugin(plugin *p, const char *bundle, const zoo_options *options);
/* Load it and read the graph; then `table` and `request` may be used. */
void load_plugin(plugin *p);

/* The times of opening, in nanoseconds. */
typedef struct openings {
  double load[OPENINGS], first[OPENINGS], backend[OPENINGS];
} openings;

/* Each in a new process that has loaded no plug-in and no runtime, which this one may not have either. */
void open_cold(openings *times, plugin *p, const char *bundle, const zoo_options *options, int64_t batch);
/* In this process, which runs the model already. */
void open_again(openings *times, plugin *p, const char *bundle, const zoo_options *options, tensors *t);

void print_list(const char *name, const double *values, int count);
void print_openings(const char *name, const openings *times);

#endif
