// Resizing as Pillow's antialiased bilinear filter does it, and only of what the crop keeps.
#pragma once

#include <cstdint>
#include <vector>

#include "canvas.hpp"

namespace zoo_impl {

// Weights are fixed-point numbers of 22 bits: 8 of the pixel, 2 to spare, in 32.
constexpr int kWeightBits = 22;

// Along one axis: for each kept output pixel, the inputs it is made of.
struct Taps {
  uint32_t in = 0, out = 0, begin = 0, end = 0;  // extents, and which outputs are kept
  uint32_t skipped = 0;                          // inputs at the beginning that are not in memory
  uint32_t room = 0;                             // weights for each output, a multiple of 4; those beyond `count` are 0
  std::vector<uint32_t> first, count;            // [kept]; `first` is counted in memory
  std::vector<int32_t> weight;                   // [kept][room]
  std::vector<int16_t> across;                   // the same for vector code across a row; see resize_avx2.cpp

  // Nothing is done when it is as asked already: pictures of one camera share it.
  void prepare(uint32_t in, uint32_t out, uint32_t begin, uint32_t end, uint32_t skipped, bool for_across);
};

// Where the crop lies in the resized picture.
struct Crop {
  uint32_t width, height;           // of the resized picture
  uint32_t left, top, wide, high;   // of the crop
};

class Resizer {
 public:
  // Writes RGB [crop.high, crop.wide] to `out`.
  void run(const View& from, const Crop& crop, uint8_t* out);

 private:
  Taps across_, down_;
  std::vector<uint8_t> between_, last_;
  std::vector<const uint8_t*> rows_;
};

// One row of RGB pixels across; may read kPadding bytes past the row and write one byte past `out`.
using AcrossRow = void (*)(const uint8_t* in, uint8_t* out, const Taps& taps);
// One output row from `count` input rows of `bytes` bytes.
using DownRow = void (*)(const uint8_t* const* rows, const int32_t* weights, uint32_t count, uint8_t* out, size_t bytes);

void across_plain(const uint8_t* in, uint8_t* out, const Taps& taps);
void down_plain(const uint8_t* const* rows, const int32_t* weights, uint32_t count, uint8_t* out, size_t bytes);
void across_avx2(const uint8_t* in, uint8_t* out, const Taps& taps);
void down_avx2(const uint8_t* const* rows, const int32_t* weights, uint32_t count, uint8_t* out, size_t bytes);

}  // namespace zoo_impl
