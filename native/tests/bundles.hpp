// Bundles and pictures for tests, made by the tests themselves.
#pragma once

#include <cstdint>
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

// RGB pixels [height, width, 3] of a smooth pattern.
std::vector<uint8_t> pattern(uint32_t width, uint32_t height);
std::vector<uint8_t> as_jpeg(const std::vector<uint8_t>& rgb, uint32_t width, uint32_t height);
std::vector<uint8_t> as_png(const std::vector<uint8_t>& rgb, uint32_t width, uint32_t height);
