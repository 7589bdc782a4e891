#include "model/registry.hpp"

#include <dirent.h>
#include <dlfcn.h>

#include <algorithm>
#include <cstdlib>
#include <map>

#include "base/failure.hpp"

namespace zoo_impl {

static const std::string kPrefix = "libzoo_backend_", kSuffix = ".so";

static void split(const char* folders, std::vector<std::string>& out) {
  if (folders == nullptr) return;
  const std::string text = folders;
  for (size_t start = 0; start <= text.size();) {
    const size_t end = std::min(text.find(':', start), text.size());
    if (end > start) out.push_back(text.substr(start, end - start));
    start = end + 1;
  }
}

static std::string own_folder() {
  Dl_info info{};
  if (dladdr(reinterpret_cast<void*>(&zoo_abi_version), &info) == 0 || info.dli_fname == nullptr) return "";
  const std::string path = info.dli_fname;
  const size_t slash = path.rfind('/');
  return slash == std::string::npos ? "." : path.substr(0, slash);
}

// Name to file; the first folder that has a name decides.
static std::map<std::string, std::string> found(const zoo_options& options) {
  std::vector<std::string> folders;
  split(options.backend_path, folders);
  split(std::getenv("ZOO_BACKEND_PATH"), folders);
  folders.push_back(own_folder());
  std::map<std::string, std::string> files;
  for (const std::string& folder : folders) {
    DIR* listing = opendir(folder.c_str());
    if (listing == nullptr) continue;
    for (const dirent* entry = readdir(listing); entry != nullptr; entry = readdir(listing)) {
      const std::string file = entry->d_name;
      if (file.size() <= kPrefix.size() + kSuffix.size() || file.compare(0, kPrefix.size(), kPrefix) != 0 ||
          file.compare(file.size() - kSuffix.size(), kSuffix.size(), kSuffix) != 0)
        continue;
      files.emplace(file.substr(kPrefix.size(), file.size() - kPrefix.size() - kSuffix.size()), folder + "/" + file);
    }
    closedir(listing);
  }
  return files;
}

// Fills in the table; on failure the candidate's reason. Loading twice gives the same library, and none is unloaded:
// runtimes start threads that outlive their last session.
static bool load(Candidate& candidate) {
  void* library = dlopen(candidate.file.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) {
    const char* why = dlerror();
    candidate.reason = std::string("cannot be loaded: ") + (why == nullptr ? "no reason given" : why);
    return false;
  }
  const auto entry = reinterpret_cast<decltype(&zoo_backend_entry)>(dlsym(library, "zoo_backend_entry"));
  if (entry == nullptr) {
    candidate.reason = "is no plug-in: it has no zoo_backend_entry";
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
    candidate.reason = "is no whole plug-in: a function is missing in its table";
    return false;
  }
  return true;
}

static Candidate asked(const std::string& name, const std::string& file, const zoo_backend_request& request) {
  Candidate candidate{name, file, {}, 0, ""};
  if (load(candidate)) {
    zoo_error error = ZOO_INIT(zoo_error);
    candidate.score = candidate.table.score(&request, &error);
    if (candidate.score <= 0) candidate.reason = error.text[0] != '\0' ? error.text : "says it cannot run here";
  }
  return candidate;
}

std::vector<Candidate> candidates(const zoo_options& options, const zoo_backend_request& request) {
  std::vector<Candidate> all;
  for (const auto& [name, file] : found(options)) all.push_back(asked(name, file, request));
  std::stable_sort(all.begin(), all.end(), [](const Candidate& a, const Candidate& b) { return a.score > b.score; });
  return all;
}

Candidate choose(const zoo_options& options, const zoo_backend_request& request) {
  const auto files = found(options);
  if (options.backend != nullptr) {
    const auto named = files.find(options.backend);
    std::string known;
    for (const auto& entry : files) known += (known.empty() ? "" : ", ") + entry.first;
    if (named == files.end())
      throw Failure(ZOO_E_NOT_FOUND, std::string("no backend called '") + options.backend + "'; there " +
                                         (known.empty() ? "is none at all" : "are: " + known));
    Candidate only = asked(named->first, named->second, request);  // and no other is loaded
    if (only.score <= 0) throw Failure(ZOO_E_BACKEND, "backend " + only.name + ": " + only.reason);
    return only;
  }
  std::vector<Candidate> all = candidates(options, request);
  if (!all.empty() && all.front().score > 0) return all.front();
  std::string reasons;
  for (const Candidate& candidate : all)
    reasons += (reasons.empty() ? "" : "; ") + candidate.name + ": " + candidate.reason;
  throw Failure(ZOO_E_BACKEND, "no backend can run here: " +
                                   (reasons.empty() ? "no libzoo_backend_*.so beside libzoo or in ZOO_BACKEND_PATH" : reasons));
}

}  // namespace zoo_impl
