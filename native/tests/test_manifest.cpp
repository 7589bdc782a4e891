// Manifests: strict keys and values, and paths inside the bundle.
#include <cstdlib>

#include "base/failure.hpp"
#include "bundle/manifest.hpp"
#include "support/bundles.hpp"
#include "support/check.hpp"

using namespace zoo_impl;

static std::string edited(const std::string& from, const std::string& to) {
  std::string text = manifest_text();
  const size_t at = text.find(from);
  if (at == std::string::npos) std::abort();
  return text.replace(at, from.size(), to);
}

TEST(manifests_are_read_strictly) {
  const Manifest manifest = Manifest::parse(manifest_text());
  CHECK(manifest.height == kHeight && manifest.width == kWidth && manifest.outputs == kOutputs);
  CHECK(manifest.graphs.at("fp32") == "model.fp32.onnx");
  CHECK_FAILS(ZOO_E_VERSION, "zoo.bundle/9", Manifest::parse(edited("zoo.bundle/1", "zoo.bundle/9")));
  CHECK_FAILS(ZOO_E_CORRUPT, "'extra'", Manifest::parse(edited("\"name\": \"tiny\"", "\"extra\": 1")));
  CHECK_FAILS(ZOO_E_CORRUPT, "'labels' is missing", Manifest::parse(edited("\"labels\": \"labels.json\",", "")));
  CHECK_FAILS(ZOO_E_CORRUPT, "input.layout", Manifest::parse(edited("NHWC", "NCHW")));
  CHECK_FAILS(ZOO_E_CORRUPT, "task", Manifest::parse(edited("classification", "detection")));
  CHECK_FAILS(ZOO_E_CORRUPT, "input.height", Manifest::parse(edited("\"height\": 6", "\"height\": 0")));
  CHECK_FAILS(ZOO_E_CORRUPT, "input.height", Manifest::parse(edited("\"height\": 6", "\"height\": 1e9")));
  CHECK_FAILS(ZOO_E_CORRUPT, "input.height", Manifest::parse(edited("\"height\": 6", "\"height\": 6.5")));
  CHECK_FAILS(ZOO_E_CORRUPT, "does not list other", Manifest::parse(edited("\"file\": \"model", "\"file\": \"other")));
}

TEST(paths_that_leave_the_bundle_are_refused) {
  for (const char* path : {"../README.md", "/etc/passwd", "a/../../b", "a//b", "./a", "a/.", "", "a\\\\b", "a/"})
    CHECK_FAILS(ZOO_E_CORRUPT, "outside", Manifest::parse(edited("\"README.md\"", std::string("\"") + path + "\"")));
}
