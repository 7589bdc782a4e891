/* zoo-native-bench: times libzoo in C, without an interpreter in the way, and prints raw times as one JSON object.
 *
 *   zoo-native-bench BUNDLE [--backend B] [--precision P] [--device D] [--threads N] [--batch N] [--seconds S]
 *                    [PHOTO.jpg ...]
 *
 * `zoo bench run --native` calls it. The bundle's self-test runs first. Every list under "rounds" is one round of calls
 * that followed each other, in nanoseconds for each call. With photographs:
 *   image       JPEG or PNG bytes in, answer out, over the photographs in turn; "top" is the best label of each
 *   preprocess  bytes to pixels, the same
 * and without:
 *   call        zoo_run: pixels in host memory in, answers out
 *   backend     the plug-in's own run, without libzoo around it; its rounds alternate with those of `call`
 *   sharing     wall time for each call with 1 and with 2 threads that share the model, each with its own context
 * and always:
 *   open        loading the model and its first answer, each time in a new process, and the plug-in's own loading and
 *               opening of the same graph in others
 *   again       the same in this process, where the plug-in, its runtime and the model are loaded already
 */
#define _XOPEN_SOURCE 700 /* and with it POSIX 2008 */
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <time.h>

#include "bench.h"

#define MOST_ROUNDS 4096
#define ROUND_NS 10000000.0 /* shorter is less than one time slice of the scheduler, and one interruption is all of it */
#define WARM_CALLS 5

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

/* What a timed call needs; `at` is the photograph whose turn it is. */
typedef struct subject {
  zoo_context *context;
  tensors t;
  const zoo_backend_table *table;
  void *session;
  int64_t batch;
  const buffer *photos;
  int photo_count, at;
} subject;

typedef void (*call)(subject *);

static void call_run(subject *s) { check(zoo_run(s->context, &s->t.in, &s->t.out, &error), "zoo_run"); }

static void call_backend(subject *s) {
  check(s->table->run(s->session, s->t.in.data, s->batch, s->t.out.data, &error), "backend");
}

static const buffer *next_photo(subject *s) {
  const buffer *photo = &s->photos[s->at];
  s->at = (s->at + 1) % s->photo_count;
  return photo;
}

static void call_image(subject *s) {
  zoo_prediction answer = ZOO_INIT(zoo_prediction);
  const buffer *photo = next_photo(s);
  zoo_picture picture = ZOO_INIT(zoo_picture);
  picture.data = photo->bytes;
  picture.size = photo->size;
  check(zoo_predict(s->context, &picture, &answer, &error), "zoo_predict");
}

static void call_preprocess(subject *s) {
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
  /* Some photographs take longer than others: a round goes through all of them. */
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

/* Rounds of `first` and, if there is a second, of it in turn, for `seconds` together. */
static void measure(const char *name, call first, const char *other, call second, subject *s, double seconds) {
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

/* Nanoseconds of wall time for each call when `threads` of them share one model. */
static double shared(worker *workers, int threads, int calls) {
  pthread_t ids[2];
  pthread_barrier_t gate;
  double start;
  int i;
  pthread_barrier_init(&gate, NULL, (unsigned)threads + 1);
  for (i = 0; i < threads; i++) {
    workers[i].gate = &gate;
    workers[i].calls = calls;
    if (pthread_create(&ids[i], NULL, work, &workers[i]) != 0) die("no thread");
  }
  start = now();
  pthread_barrier_wait(&gate);
  for (i = 0; i < threads; i++) pthread_join(ids[i], NULL);
  start = (now() - start) / ((double)calls * threads);
  pthread_barrier_destroy(&gate);
  return start;
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

/* One and two threads, in turn. */
static void share(const zoo_model *model, const zoo_model_info *info, int64_t batch, double seconds) {
  double one[OPENINGS], two[OPENINGS];
  worker workers[2];
  int i, calls;
  memset(workers, 0, sizeof workers);
  for (i = 0; i < 2; i++) {
    workers[i].s.batch = batch;
    check(zoo_context_create(model, &workers[i].s.context, &error), "zoo_context_create");
    workers[i].s.t = new_tensors(info, batch);
  }
  calls_in_a_round(call_run, &workers[1].s); /* its warm-up */
  calls = calls_in_a_round(call_run, &workers[0].s) * (int)(1 + 5 * seconds); /* a thread's start is short against it */
  for (i = 0; i < OPENINGS; i++) {
    one[i] = shared(workers, 1, calls);
    two[i] = shared(workers, 2, calls);
  }
  printf("  \"sharing\": {\"calls\": %d, ", calls);
  print_list("one", one, OPENINGS);
  printf(", ");
  print_list("two", two, OPENINGS);
  printf("},\n");
  for (i = 0; i < 2; i++) {
    zoo_context_free(workers[i].s.context);
    free_tensors(&workers[i].s.t);
  }
}

/* The best label of each photograph; nothing for keypoints, which have none. */
static void print_top(subject *s) {
  zoo_prediction answer = ZOO_INIT(zoo_prediction);
  int i;
  printf("  \"top\": [");
  for (i = 0; i < s->photo_count; i++) {
    zoo_picture picture = ZOO_INIT(zoo_picture);
    picture.data = s->photos[i].bytes;
    picture.size = s->photos[i].size;
    check(zoo_predict(s->context, &picture, &answer, &error), "zoo_predict");
    if (answer.label != NULL) printf("%s%u", i ? ", " : "", answer.best);
  }
  printf("],\n");
}

int main(int argc, char **argv) {
  zoo_options options = ZOO_INIT(zoo_options);
  zoo_model_info info = ZOO_INIT(zoo_model_info);
  static plugin own;
  zoo_model *model = NULL;
  subject s;
  openings cold, again;
  buffer *photos = have(calloc((size_t)argc, sizeof(buffer)));
  double seconds = 2.0;
  void *engine = NULL;
  struct rusage usage;
  int i, photo_count = 0;

  if (argc < 2 || argv[1][0] == '-') die("usage: zoo-native-bench BUNDLE [--backend B] [--precision P] [--device D] "
                                        "[--threads N] [--batch N] [--seconds S] [PHOTO.jpg ...]");
  prctl(PR_SET_PDEATHSIG, SIGKILL); /* who asked for the numbers is gone: so is the need for them */
  memset(&s, 0, sizeof s);
  s.batch = 1;
  for (i = 2; i < argc; i++) {
    const char *value = i + 1 < argc ? argv[i + 1] : "";
    if (strcmp(argv[i], "--backend") == 0) options.backend = value, i++;
    else if (strcmp(argv[i], "--precision") == 0) options.precision = value, i++;
    else if (strcmp(argv[i], "--device") == 0) options.device = value, i++;
    else if (strcmp(argv[i], "--threads") == 0) options.threads = atoi(value), i++;
    else if (strcmp(argv[i], "--batch") == 0) s.batch = atoi(value), i++;
    else if (strcmp(argv[i], "--seconds") == 0) seconds = atof(value), i++;
    else if (argv[i][0] == '-') die(argv[i]);
    else photos[photo_count++] = read_whole(argv[i]);
  }
  if (s.batch < 1) die("--batch must be at least 1");
  if (photo_count > 0 && s.batch != 1) die("photographs are taken one by one: no --batch with them");
  find_plugin(&own, argv[1], &options);
  open_cold(&cold, &own, argv[1], &options, s.batch); /* before this process loads what the others are to load */
  check(zoo_model_open(argv[1], &options, &model, &error), "zoo_model_open");
  check(zoo_model_describe(model, &info, &error), "zoo_model_describe");
  s.photos = photos;
  check(zoo_context_create(model, &s.context, &error), "zoo_context_create");
  s.t = new_tensors(&info, s.batch);

  /* The same graph in the same plug-in, asked directly. */
  load_plugin(&own);
  s.table = &own.table;
  check(own.table.open(&own.request, &engine, &error), "the plug-in's open");
  check(own.table.session_create(engine, &s.session, &error), "the plug-in's session");

  printf("{\n  \"schema\": \"zoo.native-bench/1\", \"version\": \"%s\",\n  \"engine\": {\"backend\": \"%s\", "
         "\"precision\": \"%s\", \"device\": \"%s\", \"threads\": %d, \"runtime\": \"%s\"},\n",
         zoo_version(), info.backend, info.precision, info.device, info.threads, info.runtime);
  if (photo_count > 0) {
    s.photo_count = photo_count;
    print_top(&s);
    measure("image", call_image, NULL, NULL, &s, seconds);
    measure("preprocess", call_preprocess, NULL, NULL, &s, seconds);
  } else {
    measure("call", call_run, "backend", call_backend, &s, seconds);
    share(model, &info, s.batch, seconds);
  }

  open_again(&again, &own, argv[1], &options, &s.t);
  print_openings("open", &cold);
  print_openings("again", &again);
  getrusage(RUSAGE_SELF, &usage);
  printf("  \"peak_memory\": %ld\n}\n", usage.ru_maxrss * 1024); /* Linux counts in kilobytes */

  own.table.session_free(s.session), own.table.close(engine);
  zoo_context_free(s.context), zoo_model_free(model);
  free_tensors(&s.t);
  for (i = 0; i < photo_count; i++) free(photos[i].bytes);
  free(photos), free(own.graph.bytes);
  return 0;
}
