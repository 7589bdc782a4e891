#include "bundle/bundle.hpp"

#include <sys/stat.h>

#include "base/failure.hpp"
#include "base/json.hpp"
#include "base/sha256.hpp"

namespace zoo_impl {

static Manifest read_manifest(const std::string& folder) {
  struct stat about {};
  if (::stat(folder.c_str(), &about) != 0) throw Failure(ZOO_E_NOT_FOUND, "no such bundle: " + folder);
  if (!S_ISDIR(about.st_mode))
    throw Failure(ZOO_E_NOT_FOUND, folder + " is not a bundle: a bundle is a folder with a manifest.json");
  const std::string path = folder + "/manifest.json";
  const Bytes bytes = read_file(path, kLargestText);
  try {
    return Manifest::parse(text_of(bytes));
  } catch (const Failure& failure) {
    throw Failure(failure.status, path + ": " + failure.what());
  }
}

Bundle::Bundle(const std::string& folder) : folder_(folder), manifest_(read_manifest(folder)) {
  const std::string where = path(manifest_.labels);
  const Bytes bytes = file(manifest_.labels);
  try {
    const Json names = Json::parse(text_of(bytes));
    for (const Json& name : names.list("labels")) labels_.push_back(name.text("labels"));
  } catch (const Failure& failure) {
    throw Failure(failure.status, where + ": " + failure.what());
  }
  const size_t each = manifest_.task == ZOO_KEYPOINTS ? 2 : 1;
  if (labels_.size() * each != manifest_.outputs)
    throw Failure(ZOO_E_CORRUPT, where + ": " + std::to_string(labels_.size()) + " names do not fit " +
                                     std::to_string(manifest_.outputs) + " outputs");
}

Bytes Bundle::file(const std::string& name) const {
  const auto entry = manifest_.files.find(name);
  if (entry == manifest_.files.end())
    throw Failure(ZOO_E_NOT_FOUND, folder_ + ": the manifest does not list " + name);
  struct stat about {};
  if (::stat(path(name).c_str(), &about) != 0) throw Failure(ZOO_E_NOT_FOUND, folder_ + ": " + name + " is missing");
  if (static_cast<uint64_t>(about.st_size) != entry->second.bytes)
    throw Failure(ZOO_E_HASH, folder_ + ": " + name + " has " + std::to_string(about.st_size) +
                                  " bytes, the manifest says " + std::to_string(entry->second.bytes));
  Bytes bytes = read_file(path(name), entry->second.bytes);
  if (sha256(bytes.data(), bytes.size()) != entry->second.sha256)
    throw Failure(ZOO_E_HASH, folder_ + ": " + name + " is damaged: its SHA-256 is not the one in the manifest");
  return bytes;
}

uint32_t Bundle::check_files() const {
  for (const auto& entry : manifest_.files) file(entry.first);
  return static_cast<uint32_t>(manifest_.files.size());
}

}  // namespace zoo_impl
