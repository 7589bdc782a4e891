#include "base/file.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "base/failure.hpp"

namespace zoo_impl {

Bytes read_file(const std::string& path, uint64_t most) {
  struct Descriptor {
    int number;
    ~Descriptor() { if (number >= 0) ::close(number); }
  } file{::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)};  // O_NONBLOCK: opening a named pipe must not block
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
    if (got == 0) break;  // the file became shorter meanwhile; its hash will show that
    have += static_cast<size_t>(got);
  }
  bytes.resize(have);
  return bytes;
}

std::vector<std::string> names_in(const std::string& folder) {
  std::vector<std::string> names;
  DIR* listing = opendir(folder.c_str());
  if (listing == nullptr) return names;
  for (const dirent* entry = readdir(listing); entry != nullptr; entry = readdir(listing)) names.push_back(entry->d_name);
  closedir(listing);
  return names;
}

}  // namespace zoo_impl
