#define _XOPEN_SOURCE 700 /* and with it POSIX 2008 */
#include "common.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

zoo_error error = ZOO_INIT(zoo_error);

void die(const char *what) {
  fprintf(stderr, "zoo-native-bench: %s%s%s\n", what, error.text[0] ? ": " : "", error.text);
  exit(2);
}

void check(zoo_status status, const char *what) {
  if (status != ZOO_OK) die(what);
}

double now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (double)time.tv_sec * 1e9 + (double)time.tv_nsec;
}

void *have(void *memory) {
  if (memory == NULL) die("out of memory");
  return memory;
}

buffer read_whole(const char *path) {
  buffer out = {NULL, 0};
  FILE *file = fopen(path, "rb");
  long size;
  if (file == NULL || fseek(file, 0, SEEK_END) != 0 || (size = ftell(file)) < 0) die(path);
  rewind(file);
  out.size = (size_t)size;
  out.bytes = have(malloc(out.size + 1));
  if (fread(out.bytes, 1, out.size, file) != out.size) die(path);
  fclose(file);
  return out;
}

tensors new_tensors(const zoo_model_info *info, int64_t batch) {
  tensors t;
  const size_t pixels = (size_t)batch * info->height * info->width * 3;
  size_t i;
  uint32_t random = 1;
  memset(&t, 0, sizeof t);
  t.in.struct_size = sizeof t.in;
  t.in.data = have(malloc(pixels));
  t.in.size = pixels;
  t.in.dtype = ZOO_UINT8;
  t.in.rank = 4;
  t.in.shape[0] = batch, t.in.shape[1] = info->height, t.in.shape[2] = info->width, t.in.shape[3] = 3;
  for (i = 0; i < pixels; i++) {
    random = random * 1664525u + 1013904223u;
    ((unsigned char *)t.in.data)[i] = (unsigned char)(random >> 24);
  }
  t.out.struct_size = sizeof t.out;
  t.out.size = (size_t)batch * info->outputs * sizeof(float);
  t.out.data = have(malloc(t.out.size));
  t.out.dtype = ZOO_FLOAT32;
  t.out.rank = 2;
  t.out.shape[0] = batch, t.out.shape[1] = info->outputs;
  return t;
}

void free_tensors(tensors *t) { free(t->in.data), free(t->out.data); }

void print_list(const char *name, const double *values, int count) {
  int i;
  printf("\"%s\": [", name);
  for (i = 0; i < count; i++) printf("%s%.0f", i ? ", " : "", values[i]);
  printf("]");
}
