// Winograd's minimal filtering F(4x4, 3x3) in whole numbers: 36 products for 16 pixels instead of 144.
// Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks", 2015 (arXiv:1509.09308), section 4.3:
//
//   Y = A' [ (G w G') * (B' x B) ] A    w: a 3x3 filter, x: a tile of 6x6 pixels, Y: 4x4 pixels, ': transposed
//
// B' x B of levels fits into 16 bits. So does G w G' once it is multiplied by a number for each of the 36 positions
// that makes its fractions whole. The sums over channels are therefore exact; A' takes that number out again, in
// float32.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <limits>

#include "ops/common/convolution.hpp"

namespace zoo_ops::winograd_f43 {

constexpr size_t kSide = 6, kStep = 4;  // a tile reads 6x6 pixels and writes 4x4
constexpr size_t kPositions = kSide * kSide, kTaps = 9;

// B'.
constexpr int kInput[kSide][kSide] = {{4, 0, -5, 0, 1, 0},  {0, -4, -4, 1, 1, 0}, {0, 4, -4, -1, 1, 0},
                                      {0, -2, -1, 2, 1, 0}, {0, 2, -1, -2, 1, 0}, {0, 4, 0, -5, 0, 1}};
// G with its rows multiplied by 4, -6, -6, 24, 24 and 1, which makes them whole. The kernels' A' divides by these
// again.
constexpr int kFilter[kSide][3] = {{1, 0, 0}, {1, 1, 1}, {1, -1, 1}, {1, 2, 4}, {1, -2, 4}, {0, 0, 1}};

// `static`, not `inline`: the kernel of each instruction set compiles a copy of its own, which the other one must not
// run.

// The largest value of B' x B at a position, of either sign, of levels between -zero and 255 - zero.
static inline int64_t largest_input(size_t position, uint8_t zero) {
  int64_t up = 0, down = 0;
  for (size_t y = 0; y < kSide; ++y) {
    for (size_t x = 0; x < kSide; ++x) {
      const int factor = kInput[position / kSide][y] * kInput[position % kSide][x];
      (factor > 0 ? up : down) += std::abs(factor);
    }
  }
  const int64_t high = 255 - zero, low = zero;
  return std::max(up * high + down * low, up * low + down * high);
}

// Whether no sum over the filters of one output channel, [9][in], can leave 32 bits at any position, for any picture.
static inline bool sums_fit(const int8_t* filters, size_t in, uint8_t zero) {
  int64_t sums[kPositions] = {};
  for (size_t from = 0; from < in; ++from) {
    for (size_t row = 0; row < kSide; ++row) {
      int half[3];
      for (size_t x = 0; x < 3; ++x)
        half[x] = kFilter[row][0] * filters[x * in + from] + kFilter[row][1] * filters[(3 + x) * in + from] +
                  kFilter[row][2] * filters[(6 + x) * in + from];
      for (size_t column = 0; column < kSide; ++column)
        sums[row * kSide + column] +=
            std::abs(kFilter[column][0] * half[0] + kFilter[column][1] * half[1] + kFilter[column][2] * half[2]);
    }
  }
  for (size_t position = 0; position < kPositions; ++position)
    if (sums[position] * largest_input(position, zero) > std::numeric_limits<int32_t>::max()) return false;
  return true;
}

// Whether this layer is computed like this: 3x3 filters of stride 1 whose sums fit, and whole panels of input channels.
// A layer with very many channels or with weights that are all large may not fit.
static inline bool fits(const Layer& layer) {
  const Window& w = layer.window;
  if (layer.depthwise || w.height != 3 || w.width != 3 || w.stride_y != 1 || w.stride_x != 1 || w.top != 1 ||
      w.left != 1 || w.bottom != 1 || w.right != 1 || layer.in % 16 != 0)
    return false;
  for (size_t channel = 0; channel < layer.out; ++channel)
    if (!sums_fit(layer.weights + channel * kTaps * layer.in, layer.in, layer.x_zero)) return false;
  return true;
}

// The tiles of a picture, in rows from top to bottom; the last ones may hang over its edge.
struct Grid {
  explicit Grid(const Shape& of)
      : shape(of), across((of.width + kStep - 1) / kStep), down((of.height + kStep - 1) / kStep) {}

  size_t tiles() const { return shape.images * across * down; }

  Shape shape;
  size_t across, down;  // tiles in a row, and rows of tiles
};

}  // namespace zoo_ops::winograd_f43
