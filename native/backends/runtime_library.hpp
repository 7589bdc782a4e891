// What the plug-ins share: finding their runtime's library, one line about what went wrong, and their table.
#pragma once

#include <dlfcn.h>
#include <glob.h>

#include <cstdio>
#include <cstdlib>
#include <exception>
#include <initializer_list>
#include <new>
#include <string>

#include "zoo/backend.h"

namespace zoo_backend {

inline void say(zoo_error* error, const std::string& text) {
  if (error == nullptr || error->struct_size < sizeof(zoo_error)) return;
  std::snprintf(error->text, sizeof error->text, "%s", text.substr(0, text.find('\n')).c_str());
}

// Do `work`; no exception crosses the C interface.
template <class Work>
zoo_status guarded(zoo_error* error, Work&& work) {
  try {
    work();
    return ZOO_OK;
  } catch (const std::bad_alloc&) {
    return ZOO_E_MEMORY;
  } catch (const std::exception& problem) {
    say(error, problem.what());
    return ZOO_E_BACKEND;
  }
}

// What zoo_backend_entry does: hand out `own` to a host that can take it.
inline zoo_status hand_out(uint32_t host_abi, zoo_backend_table* table, const zoo_backend_table& own) {
  if (host_abi != ZOO_BACKEND_ABI || table == nullptr || table->struct_size < sizeof(zoo_backend_table))
    return ZOO_E_VERSION;
  *table = own;
  return ZOO_OK;
}

// The runtime beside this plug-in where both lie in one site-packages: the newest file that fits, or "".
inline std::string in_site_packages(const void* here, const char* pattern) {
  Dl_info info{};
  if (dladdr(here, &info) == 0 || info.dli_fname == nullptr) return "";
  const std::string own = info.dli_fname;
  const size_t slash = own.rfind('/');
  if (slash == std::string::npos) return "";
  // site-packages/zoo/_libzoo/lib/libzoo_backend_x.so
  const std::string wanted = own.substr(0, slash) + "/../../../" + pattern;
  glob_t found{};
  std::string path;
  if (glob(wanted.c_str(), 0, nullptr, &found) == 0 && found.gl_pathc > 0) path = found.gl_pathv[found.gl_pathc - 1];
  globfree(&found);
  return path;
}

// The library that is asked for, by `path` or else by the variable; failing both, the first of the others that loads.
// What is asked for and cannot be loaded is an error. NULL and a reason in `why` on failure.
inline void* open_runtime(const char* path, const char* variable, const std::string& beside,
                          std::initializer_list<const char*> names, std::string& why) {
  if (path == nullptr) path = std::getenv(variable);
  const auto attempt = [&why](const char* file) {
    void* library = dlopen(file, RTLD_NOW | RTLD_LOCAL);
    if (library == nullptr) {
      const char* reason = dlerror();
      why += (why.empty() ? "" : "; ") + std::string(reason == nullptr ? file : reason);
    }
    return library;
  };
  if (path != nullptr && *path != '\0') return attempt(path);
  if (!beside.empty())
    if (void* library = attempt(beside.c_str())) return library;
  for (const char* name : names)
    if (void* library = attempt(name)) return library;
  why = std::string("no runtime library (") + variable + " or an option can name it): " + why;
  return nullptr;
}

}  // namespace zoo_backend
