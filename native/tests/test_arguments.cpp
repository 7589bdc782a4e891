// Wrong arguments, and programs that are older or newer than the library.
#include <cstddef>
#include <cstring>

#include "support/bundles.hpp"
#include "support/check.hpp"

namespace {

struct Ready : OpenBundle {
  // The status of a run with one thing changed by `change`.
  template <typename Change>
  zoo_status run(Change&& change) {
    zoo_tensor changed_in = tensors.in, changed_out = tensors.out;
    change(changed_in, changed_out);
    return zoo_run(context, &changed_in, &changed_out, &error);
  }

  Tensors tensors{1};
};

}  // namespace

TEST(null_is_a_status_everywhere) {
  Ready ready;
  zoo_prediction prediction = ZOO_INIT(zoo_prediction);
  zoo_picture picture = ZOO_INIT(zoo_picture);
  zoo_context* context = nullptr;
  zoo_model* model = nullptr;
  CHECK(zoo_model_open(nullptr, nullptr, &model, nullptr) == ZOO_E_ARGUMENT);
  CHECK(zoo_model_open("x", nullptr, nullptr, nullptr) == ZOO_E_ARGUMENT);
  CHECK(zoo_model_describe(nullptr, nullptr, nullptr) == ZOO_E_ARGUMENT);
  CHECK(zoo_model_describe(ready.model, nullptr, nullptr) == ZOO_E_ARGUMENT);
  CHECK(zoo_model_label(nullptr, 0) == nullptr);
  CHECK(zoo_model_selftest(nullptr, nullptr, nullptr) == ZOO_E_ARGUMENT);
  CHECK(zoo_model_selftest(ready.model, nullptr, nullptr) == ZOO_OK);
  CHECK(zoo_context_create(nullptr, &context, nullptr) == ZOO_E_ARGUMENT);
  CHECK(zoo_context_create(ready.model, nullptr, nullptr) == ZOO_E_ARGUMENT);
  CHECK(zoo_run(nullptr, &ready.tensors.in, &ready.tensors.out, nullptr) == ZOO_E_ARGUMENT);
  CHECK(zoo_run(ready.context, nullptr, &ready.tensors.out, nullptr) == ZOO_E_ARGUMENT);
  CHECK(zoo_run(ready.context, &ready.tensors.in, nullptr, nullptr) == ZOO_E_ARGUMENT);
  CHECK(zoo_predict(ready.context, nullptr, &prediction, nullptr) == ZOO_E_ARGUMENT);
  CHECK(zoo_predict(ready.context, &picture, &prediction, nullptr) == ZOO_E_ARGUMENT);  // its data is NULL
  CHECK(zoo_predict(ready.context, &picture, nullptr, nullptr) == ZOO_E_ARGUMENT);
  CHECK(zoo_predict(nullptr, &picture, &prediction, nullptr) == ZOO_E_ARGUMENT);
  CHECK(zoo_predict_file(ready.context, nullptr, &prediction, nullptr) == ZOO_E_ARGUMENT);
  CHECK(zoo_predict_jpeg(ready.context, nullptr, 5, &prediction, nullptr) == ZOO_E_ARGUMENT);
  CHECK(zoo_predict_rgb(ready.context, nullptr, 5, 5, 0, &prediction, nullptr) == ZOO_E_ARGUMENT);
  CHECK(zoo_preprocess(ready.context, nullptr, nullptr, nullptr, nullptr) == ZOO_E_ARGUMENT);
  CHECK(zoo_framer_create(nullptr, nullptr) == ZOO_E_ARGUMENT);
  CHECK(zoo_framer_read(nullptr, nullptr, nullptr, nullptr, nullptr, nullptr) == ZOO_E_ARGUMENT);
  CHECK(zoo_backends_visit(nullptr, nullptr, nullptr, nullptr) == ZOO_E_ARGUMENT);
  CHECK(zoo_prediction_top(nullptr, nullptr, 3) == 0);
  zoo_model_free(nullptr);
  zoo_context_free(nullptr);
  zoo_framer_free(nullptr);
}

TEST(tensors_that_do_not_fit_are_refused) {
  Ready ready;
  using Tensor = zoo_tensor;
  CHECK(ready.run([](Tensor&, Tensor&) {}) == ZOO_OK);
  CHECK(ready.error.text[0] == '\0');
  CHECK(ready.run([](Tensor& in, Tensor&) { in.dtype = ZOO_FLOAT32; }) == ZOO_E_SHAPE);
  CHECK(ready.run([](Tensor& in, Tensor&) { in.dtype = 77; }) == ZOO_E_SHAPE);
  CHECK(ready.run([](Tensor& in, Tensor&) { in.data = nullptr; }) == ZOO_E_ARGUMENT);
  CHECK(ready.run([](Tensor& in, Tensor&) { in.size = 0; }) == ZOO_E_SHAPE);
  CHECK(ready.run([](Tensor& in, Tensor&) { --in.size; }) == ZOO_E_SHAPE);
  CHECK(ready.run([](Tensor& in, Tensor&) { in.rank = 0; }) == ZOO_E_SHAPE);
  CHECK(ready.run([](Tensor& in, Tensor&) { in.rank = 9; }) == ZOO_E_SHAPE);
  CHECK(ready.run([](Tensor& in, Tensor&) { in.rank = UINT32_MAX; }) == ZOO_E_SHAPE);
  CHECK(ready.run([](Tensor& in, Tensor&) { in.shape[0] = 0; }) == ZOO_E_SHAPE);
  CHECK(ready.run([](Tensor& in, Tensor&) { in.shape[0] = -1; }) == ZOO_E_SHAPE);
  CHECK(ready.run([](Tensor& in, Tensor&) { in.shape[0] = INT64_MAX; }) == ZOO_E_SHAPE);
  CHECK(ready.run([](Tensor& in, Tensor&) { in.shape[1] = 3, in.shape[3] = 6; }) == ZOO_E_SHAPE);
  CHECK(ready.run([](Tensor& in, Tensor&) { in.stride[3] = -1; }) == ZOO_E_SHAPE);
  CHECK(ready.run([](Tensor& in, Tensor&) { in.stride[0] = INT64_MIN; }) == ZOO_E_SHAPE);
  CHECK(ready.run([](Tensor& in, Tensor&) {
    in.stride[0] = kHeight * kWidth * 3, in.stride[1] = kWidth * 3, in.stride[2] = 3, in.stride[3] = 1;
  }) == ZOO_OK);
  CHECK(ready.run([](Tensor&, Tensor& out) { out.dtype = ZOO_UINT8; }) == ZOO_E_SHAPE);
  CHECK(ready.run([](Tensor&, Tensor& out) { out.size = 3; }) == ZOO_E_SHAPE);
  CHECK(ready.run([](Tensor&, Tensor& out) { out.shape[1] = 1; }) == ZOO_E_SHAPE);
  CHECK(ready.run([](Tensor&, Tensor& out) {
    out.data = static_cast<char*>(out.data) + 1, out.size = 15;
  }) == ZOO_E_SHAPE);
  CHECK(std::strstr(ready.error.text, "aligned") != nullptr);
}

TEST(senseless_options_are_refused) {
  Folder folder;
  write_bundle(folder);
  zoo_model* model = nullptr;
  zoo_options options = test_options();
  options.threads = -1;
  CHECK(zoo_model_open(folder.path().c_str(), &options, &model, nullptr) == ZOO_E_ARGUMENT);
  options.threads = 1 << 30;
  CHECK(zoo_model_open(folder.path().c_str(), &options, &model, nullptr) == ZOO_E_ARGUMENT);
  options.threads = 0;
  options.verify = 7;
  CHECK(zoo_model_open(folder.path().c_str(), &options, &model, nullptr) == ZOO_E_ARGUMENT);
}

TEST(an_older_program_with_smaller_structs_is_served) {
  Folder folder;
  write_bundle(folder);
  // As if zoo_options ended before `runtime_library`, zoo_model_info before `runtime`, and zoo_prediction before the
  // size of the picture. The bytes behind that end are not part of the struct and must not change.
  zoo_options options = test_options();
  options.struct_size = offsetof(zoo_options, runtime_library);
  options.runtime_library = "/not/part/of/the/struct";
  zoo_model* model = nullptr;
  CHECK(zoo_model_open(folder.path().c_str(), &options, &model, nullptr) == ZOO_OK);
  zoo_model_info info = ZOO_INIT(zoo_model_info);
  info.struct_size = offsetof(zoo_model_info, runtime);
  CHECK(zoo_model_describe(model, &info, nullptr) == ZOO_OK);
  CHECK(info.threads == 1 && info.runtime == nullptr && info.struct_size == offsetof(zoo_model_info, runtime));
  zoo_context* context = nullptr;
  CHECK(zoo_context_create(model, &context, nullptr) == ZOO_OK);
  zoo_prediction prediction = ZOO_INIT(zoo_prediction);
  prediction.struct_size = offsetof(zoo_prediction, picture_width);
  const std::vector<uint8_t> rgb = pattern(9, 9);
  CHECK(zoo_predict_rgb(context, rgb.data(), 9, 9, 0, &prediction, nullptr) == ZOO_OK);
  CHECK(prediction.label != nullptr && prediction.picture_width == 0);
  zoo_context_free(context);
  zoo_model_free(model);
}

TEST(a_newer_program_with_larger_structs_gets_a_version_error) {
  struct {
    zoo_options known = test_options();
    int something_new = 1;
  } options;
  options.known.struct_size = sizeof options;
  zoo_model* model = nullptr;
  zoo_error error = ZOO_INIT(zoo_error);
  CHECK(zoo_model_open("x.zoo", &options.known, &model, &error) == ZOO_E_VERSION);
  CHECK(std::strstr(error.text, "newer zoo.h") != nullptr);
  options.known.struct_size = 0;
  CHECK(zoo_model_open("x.zoo", &options.known, &model, &error) == ZOO_E_ARGUMENT);
  CHECK(zoo_abi_version() == ZOO_ABI_VERSION);
}

TEST(errors_fit_whatever_room_there_is) {
  struct {
    size_t struct_size;
    char text[8];
    char guard;
  } small = {offsetof(zoo_error, text) + 8, "", 'g'};
  zoo_model* model = nullptr;
  CHECK(zoo_model_open("/nowhere/x.zoo", nullptr, &model, reinterpret_cast<zoo_error*>(&small)) == ZOO_E_NOT_FOUND);
  CHECK(std::string(small.text) == "no such" && small.guard == 'g');
  small.struct_size = sizeof(size_t);
  CHECK(zoo_model_open("/nowhere/x.zoo", nullptr, &model, reinterpret_cast<zoo_error*>(&small)) == ZOO_E_NOT_FOUND);
}

TEST(every_status_has_a_name) {
  for (int status = ZOO_OK; status <= ZOO_E_INTERNAL; ++status)
    CHECK(std::strncmp(zoo_status_name(status), "ZOO_", 4) == 0);
  CHECK(std::string(zoo_status_name(99)) == "unknown status");
  CHECK(std::string(zoo_status_name(-1)) == "unknown status");
}
