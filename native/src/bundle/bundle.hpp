// A bundle folder: its manifest, and files whose size and hash were checked as they were read.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/file.hpp"
#include "bundle/manifest.hpp"

namespace zoo_impl {

class Bundle {
 public:
  explicit Bundle(const std::string& folder);

  const Manifest& manifest() const { return manifest_; }
  const std::vector<std::string>& labels() const { return labels_; }
  std::string path(const std::string& name) const { return folder_ + "/" + name; }

  // The content of a listed file; what is returned is what was checked.
  Bytes file(const std::string& name) const;

  // Check every listed file; returns how many there are.
  uint32_t check_files() const;

 private:
  std::string folder_;
  Manifest manifest_;
  std::vector<std::string> labels_;
};

}  // namespace zoo_impl
