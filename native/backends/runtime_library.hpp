// Finding and opening the shared library of a plug-in's runtime. Plug-ins do not link it: it is opened when a program
// runs.
#pragma once

#include <dlfcn.h>
#include <glob.h>

#include <cstdlib>
#include <initializer_list>
#include <string>

namespace zoo_backend {

// The runtime's library where it and this plug-in lie in the same site-packages: the last of the files that match, or
// "". `here`: an address in the plug-in. `pattern`: relative to site-packages.
inline std::string in_site_packages(const void* here, const char* pattern) {
  Dl_info info{};
  if (dladdr(here, &info) == 0 || info.dli_fname == nullptr) return "";
  const std::string own = info.dli_fname;
  const size_t slash = own.rfind('/');
  if (slash == std::string::npos) return "";
  // The plug-in: site-packages/zoo/_libzoo/lib/libzoo_backend_x.so
  const std::string wanted = own.substr(0, slash) + "/../../../" + pattern;
  glob_t found{};
  std::string path;
  if (glob(wanted.c_str(), 0, nullptr, &found) == 0 && found.gl_pathc > 0) path = found.gl_pathv[found.gl_pathc - 1];
  globfree(&found);
  return path;
}

// Opens the library that `path` names, or else the one that the environment variable names. Where neither names one,
// opens the first that loads of `beside` and `names`. A library that was named and cannot be loaded is an error: no
// other one is tried. NULL on failure, with a reason in `why`.
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
