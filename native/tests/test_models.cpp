// Whole bundles through the C interface, on the tests' own backend.
#include <atomic>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <thread>

#include "support/bundles.hpp"
#include "support/check.hpp"

#if defined(__GLIBC__) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#define COUNTS_MEMORY 1
// This program's malloc: glibc's own, and a count while `counting` is on. operator new comes through here as well.
extern "C" {
void* __libc_malloc(size_t);
void* __libc_calloc(size_t, size_t);
void* __libc_realloc(void*, size_t);
static thread_local bool counting = false;
static thread_local int allocations = 0;
void* malloc(size_t size) { return allocations += counting, __libc_malloc(size); }
void* calloc(size_t count, size_t size) { return allocations += counting, __libc_calloc(count, size); }
void* realloc(void* old, size_t size) { return allocations += counting, __libc_realloc(old, size); }
}
#endif

TEST(a_bundle_says_what_it_is) {
  OpenBundle opened;
  CHECK(opened.status == ZOO_OK);
  zoo_model_info info = ZOO_INIT(zoo_model_info);
  CHECK(zoo_model_describe(opened.model, &info, nullptr) == ZOO_OK);
  CHECK(std::string(info.name) == "tiny" && info.task == ZOO_CLASSIFICATION);
  CHECK(info.height == kHeight && info.width == kWidth && info.resize == 6);
  CHECK(info.outputs == kOutputs && info.labels == kOutputs);
  CHECK(std::string(info.backend) == "sums" && std::string(info.precision) == "fp32");
  CHECK(std::string(info.device) == "cpu" && info.threads == 1 && std::string(info.runtime) == "sums 1.0");
  CHECK(std::string(zoo_model_label(opened.model, 1)) == "b\xc3\xa4r");
  CHECK(zoo_model_label(opened.model, kOutputs) == nullptr);
}

TEST(pictures_become_labels_and_scores) {
  OpenBundle opened;
  const std::vector<uint8_t> rgb = pattern(40, 30), jpeg = as_jpeg(rgb, 40, 30), png = as_png(rgb, 40, 30);
  zoo_prediction one = ZOO_INIT(zoo_prediction), two = one, three = one;
  CHECK(zoo_predict_png(opened.context, png.data(), png.size(), &one, nullptr) == ZOO_OK);
  CHECK(one.count == kOutputs && one.picture_width == 40 && one.picture_height == 30 && one.points == nullptr);
  float sum = 0;
  for (uint32_t i = 0; i < one.count; ++i) sum += one.scores[i];
  CHECK(std::fabs(sum - 1) < 1e-6f);
  uint32_t order[kOutputs];
  CHECK(zoo_prediction_top(&one, order, 2) == 2);
  CHECK(order[0] == one.best && one.scores[order[0]] == one.score && one.score >= one.scores[order[1]]);
  CHECK(zoo_prediction_top(&one, order, 99) == kOutputs);
  CHECK(std::string(one.label) == zoo_model_label(opened.model, one.best));
  const float score = one.score;  // `one.scores` is about to be overwritten
  CHECK(zoo_predict_rgb(opened.context, rgb.data(), 40, 30, 0, &two, nullptr) == ZOO_OK);
  CHECK(two.best == one.best && two.score == score);
  CHECK(zoo_predict_jpeg(opened.context, jpeg.data(), jpeg.size(), &three, nullptr) == ZOO_OK);
  opened.folder.write("picture.png", std::string(png.begin(), png.end()));
  CHECK(zoo_predict_file(opened.context, (opened.folder.path() + "/picture.png").c_str(), &three, nullptr) == ZOO_OK);
  CHECK(three.score == score);
  CHECK(zoo_predict_file(opened.context, "/nowhere/x.png", &three, &opened.error) == ZOO_E_NOT_FOUND);
  CHECK(zoo_predict_file(opened.context, "/", &three, &opened.error) == ZOO_E_NOT_FOUND);
}

TEST(batches_run_as_single_pictures_do) {
  OpenBundle opened;
  Tensors five(5), single(1);
  for (size_t i = 0; i < five.images.size(); ++i) five.images[i] = static_cast<uint8_t>(i * 37);
  CHECK(zoo_run(opened.context, &five.in, &five.out, nullptr) == ZOO_OK);
  for (size_t i = 0; i < 5; ++i) {
    std::memcpy(single.images.data(), &five.images[i * single.images.size()], single.images.size());
    CHECK(zoo_run(opened.context, &single.in, &single.out, nullptr) == ZOO_OK);
    CHECK(std::memcmp(single.logits.data(), &five.logits[i * kOutputs], sizeof(float) * kOutputs) == 0);
  }
}

TEST(the_selftest_runs_the_stored_pictures) {
  OpenBundle opened;
  zoo_selftest report = ZOO_INIT(zoo_selftest);
  CHECK(zoo_model_selftest(opened.model, &report, nullptr) == ZOO_OK);
  CHECK(report.files == 4 && report.images == 2 && report.difference <= report.tolerance);
}

TEST(any_flipped_byte_of_a_file_is_found_and_the_file_named) {
  OpenBundle opened;
  for (const char* name : {"model.fp32.onnx", "labels.json", "README.md", "selftest.safetensors"}) {
    const std::string whole = opened.folder.read(name);
    for (size_t at = 0; at < whole.size(); ++at) {
      std::string broken = whole;
      broken[at] = static_cast<char>(broken[at] ^ 1);
      opened.folder.write(name, broken);
      zoo_status status = opened.open();
      if (status == ZOO_OK) status = zoo_model_selftest(opened.model, nullptr, &opened.error);
      CHECK(status == ZOO_E_HASH && opened.says(name));
    }
    opened.options.verify = ZOO_VERIFY_ALL;
    CHECK(opened.open() == ZOO_E_HASH && opened.says(name));
    opened.options.verify = ZOO_VERIFY_USED;
    opened.folder.write(name, whole + "x");
    opened.options.verify = ZOO_VERIFY_ALL;
    CHECK(opened.open() == ZOO_E_HASH && opened.says("bytes"));
    opened.options.verify = ZOO_VERIFY_USED;
    opened.folder.write(name, whole);
  }
  CHECK(opened.open() == ZOO_OK);
}

TEST(a_flipped_byte_of_the_manifest_is_found_or_harmless) {
  OpenBundle opened;
  const std::string whole = opened.folder.read("manifest.json");
  for (size_t at = 0; at < whole.size(); ++at) {
    std::string broken = whole;
    broken[at] = static_cast<char>(broken[at] ^ 1);
    opened.folder.write("manifest.json", broken);
    zoo_status status = opened.open();
    if (status == ZOO_OK) status = zoo_model_selftest(opened.model, nullptr, &opened.error);
    CHECK(status == ZOO_OK || opened.error.text[0] != '\0');
  }
}

TEST(wrong_logits_fail_the_selftest) {
  OpenBundle opened;
  std::string text = opened.folder.read("manifest.json");
  text.replace(text.find("1e-4"), 4, "-1.0");  // no difference is small enough
  opened.folder.write("manifest.json", text);
  CHECK(opened.open() == ZOO_OK);
  zoo_selftest report = ZOO_INIT(zoo_selftest);
  CHECK(zoo_model_selftest(opened.model, &report, &opened.error) == ZOO_E_SELFTEST && opened.says("fp32"));
}

TEST(what_is_no_bundle_is_named) {
  OpenBundle opened;
  zoo_model* model = nullptr;
  zoo_error error = ZOO_INIT(zoo_error);
  CHECK(zoo_model_open("/nowhere/x.zoo", &opened.options, &model, &error) == ZOO_E_NOT_FOUND);
  CHECK(std::strstr(error.text, "/nowhere/x.zoo") != nullptr && model == nullptr);
  const std::string file = opened.folder.path() + "/README.md";
  CHECK(zoo_model_open(file.c_str(), &opened.options, &model, &error) == ZOO_E_NOT_FOUND);
  opened.options.precision = "int4";
  CHECK(opened.open() == ZOO_E_NOT_FOUND && opened.says("it has: fp32"));
}

TEST(backends_say_why_they_were_rejected) {
  zoo_options options = test_options();
  options.backend = nullptr;
  options.backend_path = TEST_BACKENDS ":" BAD_BACKENDS;
  OpenBundle opened(options);
  CHECK(opened.status == ZOO_OK);
  std::vector<std::string> seen;
  const auto visit = [](void* user, const zoo_backend_info* info) {
    static_cast<std::vector<std::string>*>(user)->push_back(std::string(info->name) + "|" + info->reason);
  };
  CHECK(zoo_backends_visit(&options, visit, &seen, nullptr) == ZOO_OK);
  CHECK(seen.size() >= 2 && seen[0] == "sums|");
  bool found = false;
  for (const std::string& line : seen) found = found || line.find("future|was written for another version") == 0;
  CHECK(found);
  opened.options.backend = "future";
  CHECK(opened.open() == ZOO_E_BACKEND && opened.says("another version"));
  opened.options.backend = "onyx";
  CHECK(opened.open() == ZOO_E_NOT_FOUND && opened.says("future, sums"));
  opened.options.backend = nullptr;
  opened.options.device = "tpu";
  CHECK(opened.open() == ZOO_E_BACKEND && opened.says("sums are done on the cpu"));
}

TEST(a_context_outlives_its_model) {
  OpenBundle opened;
  zoo_model_free(opened.model);
  opened.model = nullptr;
  Tensors tensors(1);
  CHECK(zoo_run(opened.context, &tensors.in, &tensors.out, nullptr) == ZOO_OK);
}

TEST(running_allocates_no_memory) {
#ifdef COUNTS_MEMORY
  OpenBundle opened;
  Tensors tensors(3);
  zoo_error error = ZOO_INIT(zoo_error);
  zoo_run(opened.context, &tensors.in, &tensors.out, &error);
  allocations = 0;
  counting = true;
  std::free(std::malloc(1));  // the counter counts
  for (int i = 0; i < 100; ++i) zoo_run(opened.context, &tensors.in, &tensors.out, &error);
  counting = false;
  CHECK(allocations == 1);
#endif
}

TEST(eight_threads_share_one_model) {
  OpenBundle opened;
  Tensors reference(1);
  for (size_t i = 0; i < reference.images.size(); ++i) reference.images[i] = static_cast<uint8_t>(i * 5);
  CHECK(zoo_run(opened.context, &reference.in, &reference.out, nullptr) == ZOO_OK);
  std::atomic<int> wrong{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 8; ++t)
    threads.emplace_back([&] {
      zoo_context* mine = nullptr;
      zoo_error error = ZOO_INIT(zoo_error);
      if (zoo_context_create(opened.model, &mine, &error) != ZOO_OK) ++wrong;
      Tensors tensors(1);
      tensors.images = reference.images;
      tensors.in.data = tensors.images.data();
      for (int i = 0; i < 1250; ++i) {
        if (zoo_run(mine, &tensors.in, &tensors.out, &error) != ZOO_OK) ++wrong;
        if (tensors.logits != reference.logits) ++wrong;
      }
      zoo_context_free(mine);
    });
  for (std::thread& thread : threads) thread.join();
  CHECK(wrong == 0);
}

TEST(a_context_in_two_threads_is_a_status) {
  OpenBundle opened;
  std::atomic<int> other{0};
  const std::vector<uint8_t> png = as_png(pattern(64, 64), 64, 64);
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([&] {
      for (int i = 0; i < 200; ++i) {
        zoo_prediction prediction = ZOO_INIT(zoo_prediction);
        const zoo_status status = zoo_predict_png(opened.context, png.data(), png.size(), &prediction, nullptr);
        if (status != ZOO_OK && status != ZOO_E_BUSY) ++other;
      }
    });
  for (std::thread& thread : threads) thread.join();
  CHECK(other == 0);
  zoo_prediction prediction = ZOO_INIT(zoo_prediction);
  CHECK(zoo_predict_png(opened.context, png.data(), png.size(), &prediction, nullptr) == ZOO_OK);  // free again
}
