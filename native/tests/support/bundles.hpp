// Bundles and pictures for tests, made by the tests themselves.
#pragma once

#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

#include "zoo/zoo.h"

constexpr uint32_t kHeight = 6, kWidth = 8, kOutputs = 4;

// A new folder, which is removed at the end.
class Folder {
 public:
  Folder();
  ~Folder();
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  const std::string& path() const { return path_; }
  void write(const std::string& name, const std::string& bytes) const;
  std::string read(const std::string& name) const;

 private:
  std::string path_;
};

// The text of a manifest whose files hash to what write_bundle writes.
std::string manifest_text();
// A whole bundle for the backend "sums".
void write_bundle(const Folder& folder);

// Options that find the tests' own backend.
zoo_options test_options();

// Memory for `count` images and their logits, and the tensors on them.
struct Tensors {
  explicit Tensors(int64_t count);
  Tensors(const Tensors&) = delete;
  Tensors& operator=(const Tensors&) = delete;

  std::vector<uint8_t> images;
  std::vector<float> logits;
  zoo_tensor in = ZOO_INIT(zoo_tensor), out = ZOO_INIT(zoo_tensor);
};

// A bundle in a folder of its own, opened, and a context. `status` and `error` are those of opening it.
struct OpenBundle {
  explicit OpenBundle(zoo_options given = test_options());
  ~OpenBundle() { close(); }
  OpenBundle(const OpenBundle&) = delete;
  OpenBundle& operator=(const OpenBundle&) = delete;

  zoo_status open();  // again, after a change
  void close();
  bool says(const char* text) const { return std::strstr(error.text, text) != nullptr; }

  Folder folder;
  zoo_options options;
  zoo_model* model = nullptr;
  zoo_context* context = nullptr;
  zoo_error error = ZOO_INIT(zoo_error);
  zoo_status status = ZOO_OK;
};

// RGB pixels [height, width, 3] of a smooth pattern.
std::vector<uint8_t> pattern(uint32_t width, uint32_t height);
std::vector<uint8_t> as_jpeg(const std::vector<uint8_t>& rgb, uint32_t width, uint32_t height);
std::vector<uint8_t> as_png(const std::vector<uint8_t>& rgb, uint32_t width, uint32_t height);
