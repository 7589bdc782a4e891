// From a picture, however it comes, to the pixels that a network is fed. zoo/images.py is the reference.
#pragma once

#include "decode/canvas.hpp"
#include "decode/decode.hpp"
#include "resize/resize.hpp"
#include "zoo/zoo.h"

namespace zoo_impl {

struct Framing {
  uint32_t resize, height, width;
};

struct Extent {
  uint32_t width, height;
};

// The size of a picture once its short side has `framing.resize` pixels, and where the crop lies in it.
Crop crop_of(Extent picture, const Framing& framing);

class Framer {
 public:
  // Writes uint8 [framing.height, framing.width, 3] to `out`; returns the upright picture's full size.
  Extent read(const zoo_picture& picture, const Framing& framing, uint8_t* out);

 private:
  Canvas decoded_, upright_;
  Resizer resizer_;
};

}  // namespace zoo_impl
