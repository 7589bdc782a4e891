#include "bundle/manifest.hpp"

#include "base/failure.hpp"
#include "base/json.hpp"
#include "base/text.hpp"

namespace zoo_impl {

// A manifest with larger numbers is damaged. Sizes that are computed from numbers up to these cannot overflow.
constexpr uint64_t kLargestSide = 1 << 14, kMostOutputs = 1 << 24;

// Checks that a text has the one value that this version knows.
static void literal(const Json& object, const char* key, const char* wanted, const std::string& where) {
  const std::string path = where + "." + key;
  if (object.at(key, where).text(path) != wanted)
    throw Failure(ZOO_E_CORRUPT, path + ": this version knows only '" + wanted + "'");
}

static uint32_t positive(const Json& object, const char* key, const std::string& where, uint64_t largest) {
  uint64_t value = object.at(key, where).whole(where + "." + key, largest);
  if (value == 0) throw Failure(ZOO_E_CORRUPT, where + "." + key + ": expected at least 1");
  return static_cast<uint32_t>(value);
}

static zoo_task task_named(const std::string& name) {
  if (name == "classification") return ZOO_CLASSIFICATION;
  if (name == "tagging") return ZOO_TAGGING;
  if (name == "keypoints") return ZOO_KEYPOINTS;
  throw Failure(ZOO_E_CORRUPT, "task: '" + name + "' is not known to this version");
}

// Checks that a path is relative and stays inside the bundle: names with one '/' between them, none of them "." or
// "..".
static const std::string& inside(const std::string& path) {
  bool good = path.find('\\') == std::string::npos;
  for (const std::string& name : split(path, '/')) good = good && !name.empty() && name != "." && name != "..";
  if (!good) throw Failure(ZOO_E_CORRUPT, "files: '" + path + "' points outside the bundle");
  return path;
}

static FileEntry file_entry(const Json& json, const std::string& where) {
  json.only({"sha256", "bytes"}, where);
  FileEntry entry{json.at("sha256", where).text(where + ".sha256"),
                  json.at("bytes", where).whole(where + ".bytes", uint64_t{1} << 53)};
  const bool hex = entry.sha256.find_first_not_of("0123456789abcdef") == std::string::npos;
  if (entry.sha256.size() != 64 || !hex) throw Failure(ZOO_E_CORRUPT, where + ".sha256: expected 64 hex digits");
  return entry;
}

static const std::string& listed(const Manifest& manifest, const std::string& file) {
  if (manifest.files.count(file) == 0) throw Failure(ZOO_E_CORRUPT, "files: the manifest does not list " + file);
  return file;
}

Manifest Manifest::parse(std::string_view text) {
  const Json json = Json::parse(text);
  const std::string& schema = json.at("schema", "manifest").text("schema");
  if (schema != "zoo.bundle/1")
    throw Failure(ZOO_E_VERSION, "schema '" + schema + "' is not known to this version, which reads 'zoo.bundle/1'");
  json.only({"schema", "name", "task", "input", "output", "labels", "graphs", "parity", "gates", "accuracy", "selftest",
             "cost", "provenance", "files"},
            "manifest");
  // Records of how the bundle was made: not needed to run it, but the schema requires them.
  for (const char* record : {"parity", "accuracy", "cost", "provenance"}) json.at(record, "manifest").object(record);

  Manifest manifest;
  manifest.name = json.at("name", "manifest").text("name");
  manifest.task = task_named(json.at("task", "manifest").text("task"));

  const Json& input = json.at("input", "manifest");
  input.only({"name", "dtype", "layout", "color", "height", "width", "resize", "filter", "crop", "max_batch"}, "input");
  literal(input, "name", "image", "input");
  literal(input, "dtype", "uint8", "input");
  literal(input, "layout", "NHWC", "input");
  literal(input, "color", "RGB", "input");
  literal(input, "filter", "pillow-bilinear-antialias", "input");
  literal(input, "crop", "center", "input");
  manifest.input = "image";
  manifest.height = positive(input, "height", "input", kLargestSide);
  manifest.width = positive(input, "width", "input", kLargestSide);
  manifest.resize = positive(input, "resize", "input", kLargestSide);

  const Json& output = json.at("output", "manifest");
  output.only({"name", "dtype", "size"}, "output");
  literal(output, "dtype", "float32", "output");
  manifest.output = output.at("name", "output").text("output.name");
  manifest.outputs = positive(output, "size", "output", kMostOutputs);

  for (const auto& [path, entry] : json.at("files", "manifest").object("files"))
    manifest.files[inside(path)] = file_entry(entry, "files." + path);
  manifest.labels = listed(manifest, json.at("labels", "manifest").text("labels"));
  for (const auto& [precision, graph] : json.at("graphs", "manifest").object("graphs")) {
    const std::string where = "graphs." + precision;
    manifest.graphs[precision] = listed(manifest, graph.at("file", where).text(where + ".file"));
  }

  const Json& selftest = json.at("selftest", "manifest");
  selftest.only({"file", "images", "tolerance"}, "selftest");
  selftest.at("images", "selftest").whole("selftest.images", 1 << 20);
  manifest.selftest = listed(manifest, selftest.at("file", "selftest").text("selftest.file"));
  for (const auto& [precision, value] : selftest.at("tolerance", "selftest").object("selftest.tolerance"))
    manifest.tolerance[precision] = value.number("selftest.tolerance." + precision);
  return manifest;
}

}  // namespace zoo_impl
