// Preprocessing: from a picture (JPEG, PNG or RGB pixels) to the pixels that a network takes: decode, turn upright,
// resize, crop. zoo/preprocess/pillow.py is the reference.
#pragma once

#include "decode/canvas.hpp"
#include "decode/decode.hpp"
#include "resize/resize.hpp"
#include "zoo/zoo.h"

namespace zoo_impl {

// The short side is resized to `resize` pixels, then the centre of `height` x `width` pixels is cropped.
struct Preprocessing {
  uint32_t resize, height, width;
};

// In pixels.
struct Extent {
  uint32_t width, height;
};

// The size of a picture once its short side has `preprocessing.resize` pixels, and where the crop lies in it.
Crop crop_of(Extent picture, const Preprocessing& preprocessing);

// Owns the memory that preprocessing needs, and reuses it. One thread at a time.
class Preprocessor {
 public:
  // Writes uint8 [preprocessing.height, preprocessing.width, 3] to `out`; returns the size of the upright picture
  // before it was resized. Throws Failure.
  Extent read(const zoo_picture& picture, const Preprocessing& preprocessing, uint8_t* out);

 private:
  Canvas decoded_, upright_;
  Resizer resizer_;
};

}  // namespace zoo_impl
