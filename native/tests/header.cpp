// zoo.hpp needs nothing before it, and an error is an error.
#include <zoo/zoo.hpp>

int main() {
  zoo::Result<zoo::Model> model = zoo::load("/nowhere/x.zoo");
  if (model || model.error().status != ZOO_E_NOT_FOUND) return 1;
  static_assert(!std::is_copy_constructible_v<zoo::Model> && !std::is_copy_constructible_v<zoo::Context>);
  try {
    model.value();
  } catch (const std::runtime_error& error) {
    return error.what() == model.error().text ? 0 : 2;
  }
  return 3;
}
