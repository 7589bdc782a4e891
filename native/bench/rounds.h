/* Rounds of timed calls. */
#ifndef ZOO_BENCH_ROUNDS_H
#define ZOO_BENCH_ROUNDS_H

#include <zoo/backend.h>

#include "common.h"

/* What a timed call needs. */
typedef struct subject {
  zoo_context *context;
  tensors t;
  const zoo_backend_table *table; /* of the plug-in, and its session */
  void *session;
  int64_t batch;
  const buffer *photos;
  int photo_count, at; /* `at`: the photograph that is next */
} subject;

typedef void (*call)(subject *);

void call_run(subject *s);        /* zoo_run */
void call_backend(subject *s);    /* the plug-in's own run */
void call_image(subject *s);      /* zoo_predict on the next photograph */
void call_preprocess(subject *s); /* zoo_preprocess on the next photograph */

/* Time `first` and, where `second` is given, it in turn, for `seconds` together; print the rounds of both. */
void measure(const char *name, call first, const char *other, call second, subject *s, double seconds);

/* Time zoo_run with one thread and with two that share the model, in turn; print both. */
void measure_sharing(const zoo_model *model, const zoo_model_info *info, int64_t batch, double seconds);

#endif
