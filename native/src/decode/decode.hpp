// Encoded pictures to RGB pixels, as zoo/images.py has Pillow do it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>

#include "decode/canvas.hpp"

namespace zoo_impl {

// Twice Pillow's MAX_IMAGE_PIXELS, from where on it refuses: nothing but an attack is larger.
constexpr uint64_t kMostPixels = 178956970;

struct Decoded {
  uint32_t width = 0, height = 0;  // as stored, at full size
  int orientation = 1;             // of EXIF, 1 to 8: how the pixels are to be turned
  View view;                       // of the canvas
};

// What of a picture is needed: columns from `left` to before `right`, rows from the first to before `bottom`.
struct Part {
  uint32_t left, right, bottom;
};
using Needed = std::function<Part(uint32_t width, uint32_t height)>;

// JPEG at the smallest of the scales 1/8, 1/4, 1/2, 1 at which the short side has at least `at_least` pixels.
// Pixels that are not `needed` at that scale may be left out of the canvas, and out of the view's memory, where the
// picture lies upright. Throws Failure: ZOO_E_CORRUPT, or ZOO_E_FORMAT for a kind that is not read.
Decoded decode_jpeg(const uint8_t* bytes, size_t size, uint32_t at_least, const Needed& needed, Canvas& canvas);

// PNG, transparency over white, 16 bits scaled to 8.
Decoded decode_png(const uint8_t* bytes, size_t size, Canvas& canvas);

// The orientation in a TIFF block of EXIF tags, 0 if it has none.
int exif_orientation(const uint8_t* tiff, size_t size);

// The orientation in an XMP packet, 0 if it has none.
int xmp_orientation(const uint8_t* packet, size_t size);

// `from` turned as EXIF's `orientation`, 2 to 8, says.
void turn(const Canvas& from, int orientation, Canvas& to);

}  // namespace zoo_impl
