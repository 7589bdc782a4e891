/* What all parts of zoo-native-bench use: errors, the clock, files, tensors, lists of times. */
#ifndef ZOO_BENCH_COMMON_H
#define ZOO_BENCH_COMMON_H

#include <stddef.h>

#include <zoo/zoo.h>

#define REPEATS 6 /* the fewest measurements whose range is a 95 % interval of the median */

/* The error of the latest call on the main thread. */
extern zoo_error error;

/* Print what went wrong, with the text of `error`, and exit with 2. */
void die(const char *what);
void check(zoo_status status, const char *what);
/* `memory`, which must not be NULL. */
void *have(void *memory);
double now(void); /* nanoseconds */

typedef struct buffer {
  unsigned char *bytes;
  size_t size;
} buffer;

buffer read_whole(const char *path);

/* Images and logits for a batch: uint8 [batch, height, width, 3] of noise, float32 [batch, outputs]. */
typedef struct tensors {
  zoo_tensor in, out;
} tensors;

tensors new_tensors(const zoo_model_info *info, int64_t batch);
void free_tensors(tensors *t);

/* "name": [times], in whole nanoseconds. */
void print_list(const char *name, const double *values, int count);

#endif
