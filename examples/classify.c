/* classify BUNDLE PICTURE...: the three best labels of JPEG and PNG files, or their points, in C.
 *
 *   cc classify.c $(pkg-config --cflags --libs zoo) -o classify
 */
#include <stdio.h>
#include <zoo/zoo.h>

static void print(const zoo_model *model, const zoo_prediction *answer) {
  uint32_t order[3], count = zoo_prediction_top(answer, order, 3), i;
  for (i = 0; i < count; i++)
    printf("%s%s %.4f", i ? ", " : "", zoo_model_label(model, order[i]), answer->scores[order[i]]);
  for (i = 0; answer->points != NULL && i < answer->count; i++)
    printf("%s%s (%.1f, %.1f)", i ? ", " : "", zoo_model_label(model, i), answer->points[2 * i],
           answer->points[2 * i + 1]);
  printf("\n");
}

int main(int argc, char **argv) {
  zoo_error error = ZOO_INIT(zoo_error);
  zoo_model *model = NULL;
  zoo_context *context = NULL;
  int i, failed = 0;

  if (argc < 3) {
    fprintf(stderr, "usage: %s BUNDLE PICTURE...\n", argv[0]);
    return 2;
  }
  if (zoo_model_open(argv[1], NULL, &model, &error) != ZOO_OK ||
      zoo_context_create(model, &context, &error) != ZOO_OK) {
    fprintf(stderr, "%s\n", error.text);
    zoo_model_free(model);
    return 2;
  }
  for (i = 2; i < argc; i++) {
    zoo_prediction answer = ZOO_INIT(zoo_prediction);
    if (zoo_predict_file(context, argv[i], &answer, &error) == ZOO_OK) {
      printf("%s: ", argv[i]);
      print(model, &answer);
    } else {
      fprintf(stderr, "%s: %s\n", argv[i], error.text);
      failed = 2;
    }
  }
  zoo_context_free(context);
  zoo_model_free(model);
  return failed;
}
