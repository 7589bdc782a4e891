// Structs with random bytes in calls that must not trust them. Pointers are valid: no library can check those.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <vector>

#include "support/bundles.hpp"

namespace {

// The next bytes of the input as a T; zeros where they end.
template <typename T>
T next(const uint8_t*& data, size_t& size) {
  T value{};
  const size_t have = std::min(size, sizeof(T));
  if (have > 0) std::memcpy(&value, data, have);
  data += have;
  size -= have;
  return value;
}

// Small, right or a little too large. A caller whose struct_size is larger than its memory cannot be caught.
size_t struct_size(uint8_t choice, size_t right) { return choice % 4 == 0 ? choice : choice % 4 == 1 ? right + choice : right; }

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static OpenBundle ready;
  uint8_t images[2 * kHeight * kWidth * 3], small[16] = {};
  float logits[2 * kOutputs];
  const uint8_t choice = next<uint8_t>(data, size);

  zoo_tensor in = next<zoo_tensor>(data, size), out = next<zoo_tensor>(data, size);
  in.struct_size = struct_size(choice, sizeof in);
  out.struct_size = struct_size(static_cast<uint8_t>(choice >> 2), sizeof out);
  if (choice & 1) in.dtype = ZOO_UINT8, in.rank = 4, out.dtype = ZOO_FLOAT32, out.rank = 2;
  if (choice & 2) in.shape[1] = kHeight, in.shape[2] = kWidth, in.shape[3] = 3, out.shape[1] = kOutputs;
  in.data = images;
  in.size = std::min(in.size, sizeof images);
  out.data = logits;
  out.size = std::min(out.size, sizeof logits);
  std::memset(images, choice, sizeof images);
  zoo_run(ready.context, &in, &out, nullptr);

  zoo_picture picture = next<zoo_picture>(data, size);
  const std::vector<uint8_t> rest(data, data + size);
  picture.struct_size = struct_size(choice, sizeof picture);
  picture.data = rest.empty() ? small : rest.data();
  picture.size = std::min(picture.size, rest.empty() ? sizeof small : rest.size());
  zoo_prediction prediction = ZOO_INIT(zoo_prediction);
  zoo_predict(ready.context, &picture, &prediction, nullptr);
  return 0;
}
