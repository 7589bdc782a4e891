#include "model/registry.hpp"

#include <dlfcn.h>

#include <algorithm>
#include <cstdlib>
#include <map>

#include "base/failure.hpp"
#include "base/file.hpp"
#include "base/text.hpp"

namespace zoo_impl {

static const std::string kPrefix = "libzoo_backend_", kSuffix = ".so";

static std::string own_folder() {
  Dl_info info{};
  if (dladdr(reinterpret_cast<void*>(&zoo_abi_version), &info) == 0 || info.dli_fname == nullptr) return "";
  const std::string path = info.dli_fname;
  const size_t slash = path.rfind('/');
  return slash == std::string::npos ? "." : path.substr(0, slash);
}

// The folders to look in, the first ones first.
static std::vector<std::string> folders(const zoo_options& options) {
  std::vector<std::string> found;
  for (const char* listed : {options.backend_path, static_cast<const char*>(std::getenv("ZOO_BACKEND_PATH"))})
    if (listed != nullptr)
      for (const std::string& folder : split(listed, ':'))
        if (!folder.empty()) found.push_back(folder);
  found.push_back(own_folder());
  return found;
}

// The plug-ins that are there: name to file. Of several files with one name, the one in the first folder.
static std::map<std::string, std::string> plugins(const zoo_options& options) {
  std::map<std::string, std::string> files;
  for (const std::string& folder : folders(options))
    for (const std::string& file : names_in(folder)) {
      if (file.size() <= kPrefix.size() + kSuffix.size() || file.compare(0, kPrefix.size(), kPrefix) != 0 ||
          file.compare(file.size() - kSuffix.size(), kSuffix.size(), kSuffix) != 0)
        continue;
      files.emplace(file.substr(kPrefix.size(), file.size() - kPrefix.size() - kSuffix.size()), folder + "/" + file);
    }
  return files;
}

// Loads a plug-in and fills in the candidate's table; on failure its reason. Loading a plug-in again gives the same
// library. None is unloaded, because runtimes start threads that outlive their last session.
static bool load(Candidate& candidate) {
  void* library = dlopen(candidate.file.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) {
    const char* why = dlerror();
    candidate.reason = std::string("cannot be loaded: ") + (why == nullptr ? "no reason given" : why);
    return false;
  }
  const auto entry = reinterpret_cast<decltype(&zoo_backend_entry)>(dlsym(library, "zoo_backend_entry"));
  if (entry == nullptr) {
    candidate.reason = "is not a plug-in: it has no zoo_backend_entry";
    return false;
  }
  candidate.table.struct_size = sizeof candidate.table;
  if (entry(ZOO_BACKEND_ABI, &candidate.table) != ZOO_OK) {
    candidate.reason = "was written for another version of libzoo than " + std::string(zoo_version());
    return false;
  }
  const zoo_backend_table& table = candidate.table;
  if (table.score == nullptr || table.open == nullptr || table.close == nullptr || table.runtime == nullptr ||
      table.session_create == nullptr || table.session_free == nullptr || table.run == nullptr) {
    candidate.reason = "is not a complete plug-in: a function is missing in its table";
    return false;
  }
  return true;
}

// What a plug-in says of this request.
static Candidate ask(const std::string& name, const std::string& file, const zoo_backend_request& request) {
  Candidate candidate{name, file, {}, 0, ""};
  if (load(candidate)) {
    zoo_error error = ZOO_INIT(zoo_error);
    candidate.score = candidate.table.score(&request, &error);
    if (candidate.score <= 0) candidate.reason = error.text[0] != '\0' ? error.text : "cannot run here and does not say why";
  }
  return candidate;
}

std::vector<Candidate> candidates(const zoo_options& options, const zoo_backend_request& request) {
  std::vector<Candidate> all;
  for (const auto& [name, file] : plugins(options)) all.push_back(ask(name, file, request));
  std::stable_sort(all.begin(), all.end(), [](const Candidate& a, const Candidate& b) { return a.score > b.score; });
  return all;
}

Candidate choose(const zoo_options& options, const zoo_backend_request& request) {
  if (options.backend != nullptr) {
    const auto files = plugins(options);
    const auto named = files.find(options.backend);
    if (named == files.end())
      throw Failure(ZOO_E_NOT_FOUND, std::string("no backend called '") + options.backend + "'; there " +
                                         (files.empty() ? "is none at all" : "are: " + joined(keys(files), ", ")));
    Candidate only = ask(named->first, named->second, request);  // no other plug-in is loaded
    if (only.score <= 0) throw Failure(ZOO_E_BACKEND, "backend " + only.name + ": " + only.reason);
    return only;
  }
  std::vector<Candidate> all = candidates(options, request);
  if (!all.empty() && all.front().score > 0) return all.front();
  std::vector<std::string> reasons;
  for (const Candidate& candidate : all) reasons.push_back(candidate.name + ": " + candidate.reason);
  if (reasons.empty()) reasons.push_back("no libzoo_backend_*.so beside libzoo or in ZOO_BACKEND_PATH");
  throw Failure(ZOO_E_BACKEND, "no backend can run here: " + joined(reasons, "; "));
}

}  // namespace zoo_impl
