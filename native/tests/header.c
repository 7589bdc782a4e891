/* The headers are C99 and every function links. */
#include <zoo/backend.h>
#include <zoo/zoo.h>

int main(void) {
  zoo_error error = ZOO_INIT(zoo_error);
  zoo_model *model = NULL;
  zoo_status status = zoo_model_open("/nowhere/x.zoo", NULL, &model, &error);
  zoo_model_free(model);
  return status == ZOO_E_NOT_FOUND && error.text[0] != '\0' ? 0 : 1;
}
