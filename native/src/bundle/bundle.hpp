// A bundle's folder: its manifest, and its files, whose size and SHA-256 are checked when they are read.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/file.hpp"
#include "bundle/manifest.hpp"

namespace zoo_impl {

class Bundle {
 public:
  // Reads the manifest and the labels. Throws Failure.
  explicit Bundle(const std::string& folder);

  const Manifest& manifest() const { return manifest_; }
  const std::vector<std::string>& labels() const { return labels_; }
  std::string path(const std::string& name) const { return folder_ + "/" + name; }

  // The content of a file that the manifest lists: the very bytes that were checked. Throws Failure, ZOO_E_HASH where
  // size or SHA-256 differ.
  Bytes file(const std::string& name) const;

  // Checks every file that the manifest lists; returns how many there are.
  uint32_t check_files() const;

 private:
  std::string folder_;
  Manifest manifest_;
  std::vector<std::string> labels_;
};

}  // namespace zoo_impl
