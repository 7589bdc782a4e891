// Resizing as Pillow's antialiased bilinear filter does it, and only of what the crop keeps.
#pragma once

#include <cstdint>
#include <vector>

#include "decode/canvas.hpp"
#include "base/cpu.hpp"

namespace zoo_impl {

// Weights are fixed-point numbers of 22 bits: 8 of the pixel, 2 to spare, in 32.
constexpr int kWeightBits = 22;
// Vector code multiplies 16 bits: it takes a weight in two parts, sums both apart and adds high * 2048 + low. Sums of
// parts may wrap around; the whole sum fits, so that what is added up is exact.
constexpr int kLowBits = 11;

// Along one axis: for each kept output pixel, the inputs it is made of.
struct Taps {
  enum class Axis { across, down };

  uint32_t in = 0, out = 0, begin = 0, end = 0;  // extents, and which outputs are kept
  uint32_t skipped = 0;                          // inputs at the beginning that are not in memory
  uint32_t room = 0;                             // weights for each output, a multiple of 4; those beyond `count` are 0
  std::vector<uint32_t> first, count;            // [kept]; `first` is counted in memory
  std::vector<int32_t> weight;                   // [kept][room]

  // The same for vector code. A pair is two neighbours' parts: 16 bits of the first, above them 16 of the second.
  // Down: for each output room / 2 times the pair of high parts, then that of low parts.
  std::vector<int32_t> pairs;
  // Across: outputs in groups of four, which read equally many inputs, `reach`, from `start` on. For every four inputs
  // 64 pairs: high parts of inputs 0 and 1, of 2 and 3, then low parts; in each 16 four times those of outputs 0, 2, 1, 3.
  std::vector<uint32_t> start, reach;

  // Nothing is done when it is as asked already: pictures of one camera share it.
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

// The two inner loops; all kinds of them give the same bits.
struct Loops {
  const char* name;
  // One row of RGB pixels across; may read kPadding bytes past the row and write kPadding bytes past `out`.
  void (*across)(const uint8_t* in, uint8_t* out, const Taps& taps);
  // The output row number `i` of `bytes` bytes from its input rows.
  void (*down)(const uint8_t* const* rows, const Taps& taps, uint32_t i, uint8_t* out, size_t bytes);
};

extern const Loops kPlain;
#if ZOO_X86
extern const Loops kAvx2, kAvx512;
#endif

// Those that this CPU can run, the fastest last.
std::vector<const Loops*> usable_loops();

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
