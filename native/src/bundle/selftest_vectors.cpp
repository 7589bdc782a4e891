#include "bundle/selftest_vectors.hpp"

#include <cstring>

#include "base/failure.hpp"
#include "base/json.hpp"

namespace zoo_impl {

namespace {

struct Part {
  std::vector<uint64_t> shape;
  const unsigned char* data;
};

[[noreturn]] void corrupt(const std::string& what) { throw Failure(ZOO_E_CORRUPT, "self-test vectors: " + what); }

// One tensor of the file. `type`: its dtype; `item`: the bytes of one element.
Part part(const Json& header, const std::string& name, const char* type, uint64_t item, const unsigned char* data,
          uint64_t size) {
  const Json& entry = header.at(name, "self-test vectors");
  entry.only({"dtype", "shape", "data_offsets"}, name);
  if (entry.at("dtype", name).text(name) != type) corrupt(name + " is not " + type);
  Part found{{}, nullptr};
  uint64_t bytes = item;
  for (const Json& extent : entry.at("shape", name).list(name)) {
    found.shape.push_back(extent.whole(name, size));
    if (found.shape.back() != 0 && bytes > size / found.shape.back()) corrupt(name + " does not fit its file");
    bytes *= found.shape.back();
  }
  const std::vector<Json>& offsets = entry.at("data_offsets", name).list(name);
  if (offsets.size() != 2) corrupt(name + " has no two offsets");
  const uint64_t begin = offsets[0].whole(name, size), end = offsets[1].whole(name, size);
  if (end < begin || end - begin != bytes) corrupt(name + " does not fit its file");
  found.data = data + begin;
  return found;
}

}  // namespace

Vectors read_vectors(const Bytes& bytes, const Manifest& manifest, const std::string& precision) {
  if (bytes.size() < 8) corrupt("the file is too short");
  uint64_t length = 0;
  for (int i = 7; i >= 0; --i) length = length << 8 | bytes[static_cast<size_t>(i)];
  if (length > bytes.size() - 8) corrupt("the file is too short");
  const Json header = Json::parse({reinterpret_cast<const char*>(bytes.data()) + 8, static_cast<size_t>(length)});
  const unsigned char* data = bytes.data() + 8 + length;
  const uint64_t size = bytes.size() - 8 - length;

  const Part images = part(header, "image", "U8", 1, data, size);
  const Part logits = part(header, precision, "F32", 4, data, size);
  const std::vector<uint64_t>& shape = images.shape;
  if (shape.size() != 4 || shape[0] == 0 || shape[1] != manifest.height || shape[2] != manifest.width || shape[3] != 3)
    corrupt("the images are not of the network's size");
  if (logits.shape != std::vector<uint64_t>{shape[0], manifest.outputs}) corrupt("the logits do not fit the network");
  Vectors vectors;
  vectors.count = static_cast<int64_t>(shape[0]);
  vectors.images = images.data;
  vectors.logits.resize(static_cast<size_t>(shape[0]) * manifest.outputs);
  std::memcpy(vectors.logits.data(), logits.data, vectors.logits.size() * sizeof(float));
  return vectors;
}

}  // namespace zoo_impl
