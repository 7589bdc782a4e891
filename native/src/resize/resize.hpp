// Resizing with Pillow's antialiased bilinear filter. Only the pixels that the crop keeps are computed.
#pragma once

#include <cstdint>
#include <vector>

#include "decode/canvas.hpp"
#include "base/cpu.hpp"

namespace zoo_impl {

// Weights are fixed-point numbers with 22 bits: with the 8 bits of a pixel and 2 spare bits, a sum has 32.
constexpr int kWeightBits = 22;
// Vector code multiplies numbers of 16 bits. It splits a weight into two parts, sums up each part, and adds high * 2048
// + low. The sum of a part may wrap around; the whole sum fits into 32 bits, so that the result is exact all the same.
constexpr int kLowBits = 11;

// Along one axis: for each output pixel that is kept, the input pixels that it is computed from, and their weights.
struct Taps {
  enum class Axis { across, down };

  uint32_t in = 0, out = 0, begin = 0, end = 0;  // sizes in pixels, and which outputs are kept
  uint32_t skipped = 0;                          // inputs at the beginning that are not in memory
  uint32_t room = 0;                             // weights for each output, a multiple of 4; those beyond `count` are 0
  std::vector<uint32_t> first, count;            // [kept]; `first` counts from the first input in memory
  std::vector<int32_t> weight;                   // [kept][room]

  // The weights for vector code. A pair holds the parts of two neighbouring weights: 16 bits of the first and, above
  // them, 16 of the second. Down: for each output, room / 2 times a pair of high parts and then one of low parts.
  std::vector<int32_t> pairs;
  // Across: outputs are in groups of four that read the same number of inputs, `reach` (one for each group), from
  // `start` on (one for each output). For every four inputs there are 64 pairs: 16 with the high parts of inputs 0 and
  // 1, 16 with those of 2 and 3, then the low parts. In each 16, the pair of output 0 stands four times, then those of
  // outputs 2, 1 and 3.
  std::vector<uint32_t> start, reach;

  // Computes the weights. Does nothing where they are there already, as for pictures of the same size.
  void prepare(uint32_t in, uint32_t out, uint32_t begin, uint32_t end, uint32_t skipped, Axis axis);

 private:
  void pair_down();
  void pair_across();
};

// Where the crop lies in the resized picture.
struct Crop {
  uint32_t width, height;           // of the resized picture
  uint32_t left, top, wide, high;   // of the crop
};

// The two inner loops, once for each instruction set. All give the same bits.
struct Loops {
  const char* name;
  // Resizes one row of RGB pixels; may read kPadding bytes past the row and write kPadding bytes past `out`.
  void (*across)(const uint8_t* in, uint8_t* out, const Taps& taps);
  // Computes output row `i`, `bytes` bytes, from its input rows.
  void (*down)(const uint8_t* const* rows, const Taps& taps, uint32_t i, uint8_t* out, size_t bytes);
};

extern const Loops kScalar;
#if ZOO_X86
extern const Loops kAvx2, kAvx512;
#endif

// Those that this processor can run, the fastest last.
std::vector<const Loops*> usable_loops();

// One thread at a time. It keeps its memory and weights for the next picture.
class Resizer {
 public:
  explicit Resizer(const Loops& loops = *usable_loops().back()) : loops_(loops) {}

  // Writes RGB [crop.high, crop.wide] to `out`.
  void run(const View& from, const Crop& crop, uint8_t* out);

 private:
  const Loops& loops_;
  Taps across_, down_;
  std::vector<uint8_t> between_, last_;
  std::vector<const uint8_t*> rows_;
};

}  // namespace zoo_impl
