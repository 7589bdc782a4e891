// Random bytes as a JPEG or PNG. The first two choose the sizes, so that every scale and crop occurs.
#include <cstddef>
#include <cstdint>
#include <vector>

#include "zoo/zoo.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static zoo_framer* framer = nullptr;
  if (framer == nullptr) zoo_framer_create(&framer, nullptr);
  if (size < 2) return 0;
  zoo_framing framing = ZOO_INIT(zoo_framing);
  framing.resize = 1 + data[0] % 64u;
  framing.height = 1 + data[1] % 16u;
  framing.width = 1 + data[1] / 16u;
  std::vector<uint8_t> pixels(size_t{framing.height} * framing.width * 3);
  zoo_tensor out = ZOO_INIT(zoo_tensor);
  out.data = pixels.data();
  out.size = pixels.size();
  out.dtype = ZOO_UINT8;
  out.rank = 3;
  out.shape[0] = framing.height, out.shape[1] = framing.width, out.shape[2] = 3;
  zoo_picture picture = ZOO_INIT(zoo_picture);
  picture.data = data + 2;
  picture.size = size - 2;
  zoo_framer_read(framer, &framing, &picture, &out, nullptr, nullptr);
  return 0;
}
