// Decoding: from the bytes of a JPEG or PNG to RGB pixels, as zoo/preprocess/pillow.py does it with Pillow.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>

#include "decode/canvas.hpp"

namespace zoo_impl {

// Twice Pillow's MAX_IMAGE_PIXELS: Pillow refuses larger pictures, too.
constexpr uint64_t kMostPixels = 178956970;

struct Decoded {
  uint32_t width = 0, height = 0;  // as stored, at full size
  int orientation = 1;             // as in EXIF, 1 to 8: how the pixels have to be turned
  View view;                       // of the canvas
};

// The part of a picture that is needed: columns from `left` to before `right`, rows from the first to before `bottom`.
struct Part {
  uint32_t left, right, bottom;
};
// The part that is needed of a picture of this size.
using Needed = std::function<Part(uint32_t width, uint32_t height)>;

// Decodes a JPEG at the smallest of the scales 1/8, 1/4, 1/2, 1 at which the short side has at least `at_least` pixels.
// Where the picture is stored upright, pixels that are not `needed` at that scale may be missing in the canvas and in
// the view's memory. Throws Failure: ZOO_E_CORRUPT, or ZOO_E_FORMAT for a kind of JPEG that is not read.
Decoded decode_jpeg(const uint8_t* bytes, size_t size, uint32_t at_least, const Needed& needed, Canvas& canvas);

// Decodes a PNG; transparent pixels lie over white, 16 bits are scaled to 8. Throws Failure: ZOO_E_CORRUPT, or
// ZOO_E_FORMAT for greys of 16 bits that would all be black.
Decoded decode_png(const uint8_t* bytes, size_t size, Canvas& canvas);

// The orientation in a TIFF block of EXIF tags, with or without EXIF's header: 1 to 8, or 0 if it has none.
int exif_orientation(const uint8_t* tiff, size_t size);

// The orientation in an XMP packet: a digit, or 0 if it has none.
int xmp_orientation(const uint8_t* packet, size_t size);

// Turns `from` upright, as EXIF's `orientation`, 2 to 8, demands.
void turn(const Canvas& from, int orientation, Canvas& to);

}  // namespace zoo_impl
