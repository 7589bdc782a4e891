// The two inner loops of resizing, one byte at a time: the reference for those of the other instruction sets.
#include <algorithm>

#include "resize/resize.hpp"

namespace zoo_impl {

// A sum of pixels times weights as a pixel.
static uint8_t rounded(int64_t sum) {
  const int64_t value = (sum + (1 << (kWeightBits - 1))) >> kWeightBits;
  return static_cast<uint8_t>(std::min<int64_t>(value, 255));
}

static void across(const uint8_t* in, uint8_t* out, const Taps& taps) {
  for (uint32_t i = 0; i < taps.end - taps.begin; ++i, out += 3) {
    const uint8_t* pixel = in + size_t{taps.first[i]} * 3;
    const int32_t* weight = &taps.weight[size_t{i} * taps.room];
    int64_t red = 0, green = 0, blue = 0;
    for (uint32_t x = 0; x < taps.count[i]; ++x, pixel += 3) {
      red += pixel[0] * weight[x];
      green += pixel[1] * weight[x];
      blue += pixel[2] * weight[x];
    }
    out[0] = rounded(red), out[1] = rounded(green), out[2] = rounded(blue);
  }
}

static void down(const uint8_t* const* rows, const Taps& taps, uint32_t i, uint8_t* out, size_t bytes) {
  const int32_t* weights = &taps.weight[size_t{i} * taps.room];
  for (size_t x = 0; x < bytes; ++x) {
    int64_t sum = 0;
    for (uint32_t y = 0; y < taps.count[i]; ++y) sum += rows[y][x] * weights[y];
    out[x] = rounded(sum);
  }
}

const Loops kScalar = {"scalar", across, down};

}  // namespace zoo_impl
