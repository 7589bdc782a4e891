#include "backends/sidecar.hpp"

#include <algorithm>
#include <cstdlib>

#include "base/failure.hpp"
#include "base/json.hpp"
#include "base/sha256.hpp"
#include "base/text.hpp"

namespace zoo_backend {

using zoo_impl::Bytes;
using zoo_impl::Failure;
using zoo_impl::Json;
using zoo_impl::kLargestText;
using zoo_impl::split;

namespace {

constexpr uint64_t kLargestEngine = uint64_t{1} << 40;  // bytes
constexpr uint64_t kMostImages = 1 << 20, kMostVersions = 1 << 20;
constexpr uint64_t kLargestGraphFile = uint64_t{1} << 32;  // bytes

NamedFile named(const Json& json, const std::string& where) {
  json.only({"sha256", "bytes", "name"}, where);
  NamedFile file{json.at("name", where).text(where + ".name"), json.at("sha256", where).text(where + ".sha256"),
                 json.at("bytes", where).whole(where + ".bytes", kLargestEngine)};
  if (file.name.empty() || file.name.find_first_of("/\\") != std::string::npos || file.name == ".." ||
      file.name == ".")
    throw Failure(ZOO_E_CORRUPT, where + ".name: expected a file's name, not '" + file.name + "'");
  return file;
}

Processor made_for(const Json& json) {
  json.only({"name", "kind", "driver"}, "processor");
  Processor found{json.at("name", "processor").text("processor.name"),
                  json.at("kind", "processor").text("processor.kind"), ""};
  const Json& driver = json.at("driver", "processor");
  if (driver.kind() != Json::Kind::null) found.driver = driver.text("processor.driver");
  return found;
}

// `11.4.0.106` as numbers that can be compared.
std::vector<long> version(const std::string& text) {
  std::vector<long> numbers;
  for (const std::string& part : split(text, '.'))
    if (!part.empty() && part.find_first_not_of("0123456789") == std::string::npos)
      numbers.push_back(std::strtol(part.c_str(), nullptr, 10));
  return numbers;
}

// The folders of the engines of one backend, by name.
std::vector<std::string> folders(const std::string& bundle, const std::string& backend) {
  const std::string all = bundle + "/engines", prefix = backend + "-";
  std::vector<std::string> found;
  for (const std::string& name : zoo_impl::names_in(all))
    if (name.compare(0, prefix.size(), prefix) == 0) found.push_back(all + "/" + name);
  std::sort(found.begin(), found.end());
  return found;
}

std::string last_part(const std::string& path) { return path.substr(path.rfind('/') + 1); }

}  // namespace

bool Sidecar::has(std::string_view flag) const { return std::find(flags.begin(), flags.end(), flag) != flags.end(); }

Sidecar Sidecar::parse(std::string_view text) {
  const Json json = Json::parse(text);
  const std::string& schema = json.at("schema", "sidecar").text("schema");
  if (schema != "zoo.engine/1")
    throw Failure(ZOO_E_VERSION, "schema '" + schema + "' is not known to this version, which reads 'zoo.engine/1'");
  json.only({"schema", "backend", "precision", "device", "graph", "artefact", "library", "processor", "batch",
             "settings", "proof", "selftest"},
            "sidecar");
  for (const char* record : {"proof", "selftest"}) json.at(record, "sidecar");
  Sidecar found;
  found.backend = json.at("backend", "sidecar").text("backend");
  found.precision = json.at("precision", "sidecar").text("precision");
  found.device = json.at("device", "sidecar").text("device");
  found.library = json.at("library", "sidecar").text("library");
  found.graph = named(json.at("graph", "sidecar"), "graph");
  found.artefact = named(json.at("artefact", "sidecar"), "artefact");
  found.processor = made_for(json.at("processor", "sidecar"));
  const std::vector<Json>& batch = json.at("batch", "sidecar").list("batch");
  if (batch.size() != 3) throw Failure(ZOO_E_CORRUPT, "batch: expected three numbers");
  for (size_t i = 0; i < 3; ++i) found.batch[i] = static_cast<int64_t>(batch[i].whole("batch", kMostImages));
  const Json& settings = json.at("settings", "sidecar");
  settings.object("settings");
  // Each backend has its own settings; only those that decide where an engine may run are read.
  if (const Json* flags = settings.find("flags"))
    for (const Json& flag : flags->list("settings.flags")) found.flags.push_back(flag.text("settings.flags"));
  if (const Json* level = settings.find("hardware_compatibility"))
    found.hardware_compatibility = level->text("settings.hardware_compatibility");
  if (const Json* version = settings.find("operators"))
    found.operators = static_cast<int64_t>(version->whole("settings.operators", kMostVersions));
  return found;
}

std::string stale(const Sidecar& built, const Processor& gpu, const std::string& tensorrt) {
  const Processor& then = built.processor;
  if (built.has("VERSION_COMPATIBLE")) {
    if (version(tensorrt) < version(built.library))
      return "it was built by TensorRT " + built.library + ", and " + tensorrt + " is older";
  } else if (tensorrt != built.library) {
    return "it was built by TensorRT " + built.library + ", here is " + tensorrt;
  }
  if (built.hardware_compatibility == "AMPERE_PLUS") {
    if (version(gpu.kind) < version("8.0"))
      return "it needs compute capability 8.0, the " + gpu.name + " has " + gpu.kind;
  } else if (gpu.name != then.name || gpu.kind != then.kind) {
    return "it was built for " + then.name + " (compute capability " + then.kind + "), here is " + gpu.name + " (" +
           gpu.kind + ")";
  }
  if (version(gpu.driver) < version(then.driver))
    return "it was built with a driver for CUDA " + then.driver + ", the one here is older: " + gpu.driver;
  return "";
}

Built find_built(const std::string& graph_path, const std::string& graph_sha256, const std::string& backend,
                 const std::string& precision, const std::string& device,
                 const std::function<std::string(const Sidecar&)>& misfit) {
  const size_t slash = graph_path.rfind('/');
  const std::string bundle = slash == std::string::npos ? "." : graph_path.substr(0, slash);
  std::vector<std::string> reasons;
  for (const std::string& folder : folders(bundle, backend)) {
    Built built{folder, {}};
    try {
      built.about = Sidecar::parse(zoo_impl::text_of(zoo_impl::read_file(folder + "/sidecar.json", kLargestText)));
    } catch (const Failure& failure) {
      reasons.push_back(folder + "/sidecar.json: " + failure.what());
      continue;
    }
    const Sidecar& about = built.about;
    if (about.backend != backend || about.precision != precision || about.device != device) continue;
    std::string reason;
    if (about.graph.name != last_part(graph_path) || about.graph.sha256 != graph_sha256)
      reason = "it was built from another " + about.graph.name;
    else
      reason = misfit(about);
    if (reason.empty()) return built;
    reasons.push_back(last_part(folder) + " is stale: " + reason);
  }
  if (reasons.empty())
    reasons.push_back("no " + backend + " engine of " + last_part(graph_path) + " for " + device + " is built");
  throw Failure(ZOO_E_NOT_FOUND, zoo_impl::joined(reasons, "; ") + ": zoo build " + bundle + " --backend " +
                                     backend + " --precision " + precision + " makes one");
}

Built find_built(const zoo_backend_request& request, const std::string& backend,
                 const std::function<std::string(const Sidecar&)>& misfit) {
  Bytes read;
  const void* graph = request.graph;
  size_t size = request.graph_size;
  if (graph == nullptr) {
    read = zoo_impl::read_file(request.graph_path, kLargestGraphFile);
    graph = read.data(), size = read.size();
  }
  return find_built(request.graph_path, zoo_impl::sha256(graph, size), backend, request.precision, request.device,
                    misfit);
}

Bytes artefact(const Built& built) {
  const NamedFile& entry = built.about.artefact;
  const std::string path = built.folder + "/" + entry.name;
  Bytes bytes = zoo_impl::read_file(path, kLargestEngine);
  if (bytes.size() != entry.bytes || zoo_impl::sha256(bytes.data(), bytes.size()) != entry.sha256)
    throw Failure(ZOO_E_HASH, path + " is not the file that was built (its SHA-256 is not the sidecar's) and is not "
                                     "loaded: zoo build makes it again");
  return bytes;
}

}  // namespace zoo_backend
