// manifest.json of a bundle, schema zoo.bundle/1: the part of it that is needed to run the bundle.
// zoo/bundle/manifest.py defines the schema; keys that are not in it are refused, as they are there.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>

#include "zoo/zoo.h"

namespace zoo_impl {

struct FileEntry {
  std::string sha256;
  uint64_t bytes = 0;
};

struct Manifest {
  std::string name;
  zoo_task task = ZOO_CLASSIFICATION;
  std::string input, output;
  uint32_t height = 0, width = 0, resize = 0;  // pixels
  uint32_t outputs = 0;                        // logits of one image
  std::string labels;                         // file
  std::map<std::string, std::string> graphs;  // precision to file
  std::string selftest;                       // file
  std::map<std::string, double> tolerance;    // precision to the largest accepted difference of a logit
  std::map<std::string, FileEntry> files;

  // Throws Failure: ZOO_E_CORRUPT, or ZOO_E_VERSION for a schema that this library does not know.
  static Manifest parse(std::string_view text);
};

}  // namespace zoo_impl
