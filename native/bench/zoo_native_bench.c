/* zoo-native-bench: times libzoo in C, without an interpreter between, and prints raw times as one JSON object.
 *
 *   zoo-native-bench BUNDLE [--backend B] [--precision P] [--device D] [--threads N] [--batch N] [--seconds S]
 *                    [PHOTO.jpg ...]
 *
 * `zoo bench run --native` calls it. The bundle's self-test runs first. Every list under "rounds" is one round: the times
 * of calls that followed each other, in nanoseconds. With photographs:
 *   image       from the bytes of a JPEG or PNG to a prediction, over the photographs in turn; "top" is the index of the
 *               best label of each
 *   preprocess  from the same bytes to pixels
 * and without:
 *   call        zoo_run: from pixels in host memory to logits
 *   backend     the plug-in's own run, without libzoo around it; its rounds alternate with those of `call`
 *   sharing     wall time for each call with 1 and with 2 threads that share the model, each with its own context
 * and always:
 *   open        loading the model and the first run, each time in a new process; and, in other new processes, loading the
 *               plug-in and opening the same graph with it
 *   again       the same in this process, which has the plug-in, its runtime and the model loaded already
 */
#define _XOPEN_SOURCE 700 /* and with it POSIX 2008 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#include "common.h"
#include "opening.h"
#include "rounds.h"

/* The index of the best label of each photograph; none for keypoints, which have no scores. */
static void print_top(subject *s) {
  zoo_prediction prediction = ZOO_INIT(zoo_prediction);
  int i;
  printf("  \"top\": [");
  for (i = 0; i < s->photo_count; i++) {
    zoo_picture picture = ZOO_INIT(zoo_picture);
    picture.data = s->photos[i].bytes;
    picture.size = s->photos[i].size;
    check(zoo_predict(s->context, &picture, &prediction, &error), "zoo_predict");
    if (prediction.label != NULL) printf("%s%u", i ? ", " : "", prediction.best);
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
  prctl(PR_SET_PDEATHSIG, SIGKILL); /* nobody needs the numbers once the parent is gone */
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
  open_cold(&cold, &own, argv[1], &options, s.batch); /* before this process loads a plug-in */
  check(zoo_model_open(argv[1], &options, &model, &error), "zoo_model_open");
  check(zoo_model_describe(model, &info, &error), "zoo_model_describe");
  s.photos = photos;
  check(zoo_context_create(model, &s.context, &error), "zoo_context_create");
  s.t = new_tensors(&info, s.batch);

  /* The same graph in the same plug-in, without libzoo. */
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
    measure_sharing(model, &info, s.batch, seconds);
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
