#include "bundle.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "failure.hpp"
#include "json.hpp"
#include "sha256.hpp"

namespace zoo_impl {

constexpr uint64_t kLargestText = 16 << 20;  // of a manifest, of labels

static std::string_view text_of(const Bytes& bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

Bytes read_file(const std::string& path, uint64_t most) {
  struct Descriptor {
    int number;
    ~Descriptor() { if (number >= 0) ::close(number); }
  } file{::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)};  // O_NONBLOCK: a named pipe must not hang us
  struct stat about {};
  if (file.number < 0 || ::fstat(file.number, &about) != 0)
    throw Failure(ZOO_E_NOT_FOUND, "cannot read " + path + ": " + std::strerror(errno));
  if (!S_ISREG(about.st_mode)) throw Failure(ZOO_E_NOT_FOUND, "cannot read " + path + ": not a file");
  if (static_cast<uint64_t>(about.st_size) > most)
    throw Failure(ZOO_E_CORRUPT, path + " is too large: " + std::to_string(about.st_size) + " bytes");
  Bytes bytes(static_cast<size_t>(about.st_size));
  size_t have = 0;
  while (have < bytes.size()) {
    ssize_t got = ::read(file.number, bytes.data() + have, bytes.size() - have);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) throw Failure(ZOO_E_NOT_FOUND, "cannot read " + path + ": " + std::strerror(errno));
    if (got == 0) break;  // it became shorter meanwhile; its hash will say so
    have += static_cast<size_t>(got);
  }
  bytes.resize(have);
  return bytes;
}

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
