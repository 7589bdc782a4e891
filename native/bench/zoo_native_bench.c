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
 *   open        loading the model, its first answer, and the plug-in's own opening of the same graph, in turn
 */
#define _XOPEN_SOURCE 700 /* and with it POSIX 2008 */
#include <dlfcn.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <time.h>

#include <zoo/backend.h>
#include <zoo/zoo.h>

#define MOST_ROUNDS 4096
#define ROUND_NS 10000000.0 /* shorter is less than one time slice of the scheduler, and one interruption is all of it */
#define WARM_CALLS 5
#define OPENINGS 6 /* the fewest whose range is a 95 % interval of the median */

static zoo_error error = ZOO_INIT(zoo_error);

static void die(const char *what) {
  fprintf(stderr, "zoo-native-bench: %s%s%s\n", what, error.text[0] ? ": " : "", error.text);
  exit(2);
}

static void check(zoo_status status, const char *what) {
  if (status != ZOO_OK) die(what);
}

static double now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (double)time.tv_sec * 1e9 + (double)time.tv_nsec;
}

static void *have(void *memory) {
  if (memory == NULL) die("out of memory");
  return memory;
}

typedef struct buffer {
  unsigned char *bytes;
  size_t size;
} buffer;

static buffer read_whole(const char *path) {
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
  zoo_tensor in, out;
  const zoo_backend_table *table;
  void *session;
  int64_t batch;
  const buffer *photos;
  int photo_count, at;
} subject;

typedef void (*call)(subject *);

static void call_run(subject *s) { check(zoo_run(s->context, &s->in, &s->out, &error), "zoo_run"); }

static void call_backend(subject *s) {
  check(s->table->run(s->session, s->in.data, s->batch, s->out.data, &error), "backend");
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
  check(zoo_preprocess(s->context, &picture, &s->in, NULL, &error), "zoo_preprocess");
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
    if (zoo_run(w->s.context, &w->s.in, &w->s.out, &mine) != ZOO_OK) die(mine.text);
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

static void new_buffers(subject *s, const zoo_model_info *info) {
  const size_t pixels = (size_t)s->batch * info->height * info->width * 3;
  size_t i;
  uint32_t random = 1;
  memset(&s->in, 0, sizeof s->in);
  s->in.struct_size = sizeof s->in;
  s->in.data = have(malloc(pixels));
  s->in.size = pixels;
  s->in.dtype = ZOO_UINT8;
  s->in.rank = 4;
  s->in.shape[0] = s->batch, s->in.shape[1] = info->height, s->in.shape[2] = info->width, s->in.shape[3] = 3;
  for (i = 0; i < pixels; i++) {
    random = random * 1664525u + 1013904223u;
    ((unsigned char *)s->in.data)[i] = (unsigned char)(random >> 24);
  }
  memset(&s->out, 0, sizeof s->out);
  s->out.struct_size = sizeof s->out;
  s->out.size = (size_t)s->batch * info->outputs * sizeof(float);
  s->out.data = have(malloc(s->out.size));
  s->out.dtype = ZOO_FLOAT32;
  s->out.rank = 2;
  s->out.shape[0] = s->batch, s->out.shape[1] = info->outputs;
}

static void print_list(const char *name, const double *values, int count) {
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
    new_buffers(&workers[i].s, info);
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
    free(workers[i].s.in.data), free(workers[i].s.out.data);
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

typedef struct plugin {
  const char *wanted;
  zoo_backend_table table;
} plugin;

static void find_plugin(void *user, const zoo_backend_info *info) {
  plugin *p = user;
  void *library;
  zoo_status (*entry)(uint32_t, zoo_backend_table *);
  if (strcmp(info->name, p->wanted) != 0 || (library = dlopen(info->file, RTLD_NOW | RTLD_LOCAL)) == NULL) return;
  *(void **)&entry = dlsym(library, "zoo_backend_entry");
  p->table.struct_size = sizeof p->table;
  if (entry == NULL || entry(ZOO_BACKEND_ABI, &p->table) != ZOO_OK) die("the plug-in cannot be asked");
}

int main(int argc, char **argv) {
  zoo_options options = ZOO_INIT(zoo_options);
  zoo_model_info info = ZOO_INIT(zoo_model_info);
  zoo_backend_request request = ZOO_INIT(zoo_backend_request);
  plugin own;
  zoo_model *model = NULL;
  subject s;
  buffer graph, *photos = have(calloc((size_t)argc, sizeof(buffer)));
  double seconds = 2.0, opening[3][OPENINGS];
  char path[4096];
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
  check(zoo_model_open(argv[1], &options, &model, &error), "zoo_model_open");
  check(zoo_model_describe(model, &info, &error), "zoo_model_describe");
  check(zoo_model_selftest(model, NULL, &error), "wrong answers are not timed"); /* fast but wrong is no result */
  s.photos = photos;
  check(zoo_context_create(model, &s.context, &error), "zoo_context_create");
  new_buffers(&s, &info);

  /* The same graph in the same plug-in, asked directly. */
  memset(&own, 0, sizeof own);
  own.wanted = info.backend;
  check(zoo_backends_visit(&options, find_plugin, &own, &error), "zoo_backends_visit");
  if (own.table.run == NULL) die("the plug-in was not found again");
  snprintf(path, sizeof path, "%s/model.%s.onnx", argv[1], info.precision);
  graph = read_whole(path);
  request.graph = graph.bytes, request.graph_size = graph.size, request.graph_path = path;
  request.precision = info.precision, request.device = info.device, request.threads = info.threads;
  request.input = "image", request.output = info.task == ZOO_KEYPOINTS ? "points" : "logits";
  request.height = info.height, request.width = info.width, request.outputs = info.outputs;
  s.table = &own.table;
  check(own.table.open(&request, &engine, &error), "the plug-in's open");
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

  for (i = 0; i < OPENINGS; i++) {
    zoo_model *again = NULL;
    zoo_context *context = NULL;
    void *bare = NULL;
    double start = now();
    check(zoo_model_open(argv[1], &options, &again, &error), "zoo_model_open");
    check(zoo_context_create(again, &context, &error), "zoo_context_create");
    opening[0][i] = now() - start;
    start = now();
    check(zoo_run(context, &s.in, &s.out, &error), "zoo_run");
    opening[1][i] = now() - start;
    zoo_context_free(context);
    zoo_model_free(again);
    start = now();
    check(own.table.open(&request, &bare, &error), "the plug-in's open");
    opening[2][i] = now() - start;
    own.table.close(bare);
  }
  printf("  \"open\": {");
  print_list("load", opening[0], OPENINGS);
  printf(", ");
  print_list("first", opening[1], OPENINGS);
  printf(", ");
  print_list("backend", opening[2], OPENINGS);
  getrusage(RUSAGE_SELF, &usage);
  printf("},\n  \"peak_memory\": %ld\n}\n", usage.ru_maxrss * 1024); /* Linux counts in kilobytes */

  own.table.session_free(s.session), own.table.close(engine);
  zoo_context_free(s.context), zoo_model_free(model);
  free(s.in.data), free(s.out.data);
  for (i = 0; i < photo_count; i++) free(photos[i].bytes);
  free(photos), free(graph.bytes);
  return 0;
}
