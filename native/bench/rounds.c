#define _XOPEN_SOURCE 700 /* and with it POSIX 2008 */
#include "rounds.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MOST_ROUNDS 4096
#define ROUND_NS 10000000.0 /* a shorter round could lie within one time slice, and one interruption would be all of it */
#define WARM_CALLS 5

void call_run(subject *s) { check(zoo_run(s->context, &s->t.in, &s->t.out, &error), "zoo_run"); }

void call_backend(subject *s) {
  check(s->table->run(s->session, s->t.in.data, s->batch, s->t.out.data, &error), "the plug-in's run");
}

static const buffer *next_photo(subject *s) {
  const buffer *photo = &s->photos[s->at];
  s->at = (s->at + 1) % s->photo_count;
  return photo;
}

void call_image(subject *s) {
  zoo_prediction prediction = ZOO_INIT(zoo_prediction);
  const buffer *photo = next_photo(s);
  zoo_picture picture = ZOO_INIT(zoo_picture);
  picture.data = photo->bytes;
  picture.size = photo->size;
  check(zoo_predict(s->context, &picture, &prediction, &error), "zoo_predict");
}

void call_preprocess(subject *s) {
  zoo_picture picture = ZOO_INIT(zoo_picture);
  const buffer *photo = next_photo(s);
  picture.data = photo->bytes;
  picture.size = photo->size;
  check(zoo_preprocess(s->context, &picture, &s->t.in, NULL, &error), "zoo_preprocess");
}

typedef struct rounds {
  double *times[MOST_ROUNDS];
  int calls, count;
} rounds;

static int calls_in_a_round(call what, subject *s) {
  double start, each;
  int i;
  for (i = 0; i < WARM_CALLS; i++) what(s);
  start = now();
  for (i = 0; i < WARM_CALLS; i++) what(s);
  each = (now() - start) / WARM_CALLS;
  i = each >= ROUND_NS ? 1 : (int)(ROUND_NS / (each > 100 ? each : 100)) + 1;
  /* Some photographs take longer than others, so that every round has all of them. */
  return s->photo_count > 0 ? (i + s->photo_count - 1) / s->photo_count * s->photo_count : i;
}

static void one_round(call what, subject *s, rounds *r) {
  double *times = have(malloc(sizeof(double) * (size_t)r->calls));
  int i;
  for (i = 0; i < r->calls; i++) {
    const double start = now();
    what(s);
    times[i] = now() - start;
  }
  r->times[r->count++] = times;
}

static void print_rounds(const char *name, rounds *r) {
  int i, j;
  printf("  \"%s\": {\"rounds\": [", name);
  for (i = 0; i < r->count; i++) {
    for (j = 0; j < r->calls; j++) printf("%s%.0f", j == 0 ? (i == 0 ? "[" : ", [") : ", ", r->times[i][j]);
    printf("]");
    free(r->times[i]);
  }
  printf("]},\n");
}

void measure(const char *name, call first, const char *other, call second, subject *s, double seconds) {
  static rounds a, b;
  double start;
  memset(&a, 0, sizeof a);
  memset(&b, 0, sizeof b);
  a.calls = calls_in_a_round(first, s);
  s->at = 0;
  if (second != NULL) b.calls = calls_in_a_round(second, s);
  start = now();
  while (a.count < MOST_ROUNDS && (a.count == 0 || now() - start < seconds * 1e9)) {
    one_round(first, s, &a);
    if (second != NULL) one_round(second, s, &b);
  }
  print_rounds(name, &a);
  if (second != NULL) print_rounds(other, &b);
}

typedef struct worker {
  subject s;
  int calls;
  pthread_barrier_t *gate;
} worker;

static void *work(void *given) {
  worker *w = given;
  zoo_error mine = ZOO_INIT(zoo_error);
  int i;
  pthread_barrier_wait(w->gate);
  for (i = 0; i < w->calls; i++)
    if (zoo_run(w->s.context, &w->s.t.in, &w->s.t.out, &mine) != ZOO_OK) die(mine.text);
  return NULL;
}

/* Wall time in nanoseconds for each call when `threads` threads share one model. */
static double shared(worker *workers, int threads, int calls) {
  pthread_t ids[2];
  pthread_barrier_t gate;
  double start;
  int i;
  pthread_barrier_init(&gate, NULL, (unsigned)threads + 1);
  for (i = 0; i < threads; i++) {
    workers[i].gate = &gate;
    workers[i].calls = calls;
    if (pthread_create(&ids[i], NULL, work, &workers[i]) != 0) die("cannot start a thread");
  }
  start = now();
  pthread_barrier_wait(&gate);
  for (i = 0; i < threads; i++) pthread_join(ids[i], NULL);
  start = (now() - start) / ((double)calls * threads);
  pthread_barrier_destroy(&gate);
  return start;
}

void measure_sharing(const zoo_model *model, const zoo_model_info *info, int64_t batch, double seconds) {
  double one[REPEATS], two[REPEATS];
  worker workers[2];
  int i, calls;
  memset(workers, 0, sizeof workers);
  for (i = 0; i < 2; i++) {
    workers[i].s.batch = batch;
    check(zoo_context_create(model, &workers[i].s.context, &error), "zoo_context_create");
    workers[i].s.t = new_tensors(info, batch);
  }
  calls_in_a_round(call_run, &workers[1].s); /* warms up the second context */
  calls = calls_in_a_round(call_run, &workers[0].s) * (int)(1 + 5 * seconds); /* much longer than a thread takes to start */
  for (i = 0; i < REPEATS; i++) {
    one[i] = shared(workers, 1, calls);
    two[i] = shared(workers, 2, calls);
  }
  printf("  \"sharing\": {\"calls\": %d, ", calls);
  print_list("one", one, REPEATS);
  printf(", ");
  print_list("two", two, REPEATS);
  printf("},\n");
  for (i = 0; i < 2; i++) {
    zoo_context_free(workers[i].s.context);
    free_tensors(&workers[i].s.t);
  }
}
