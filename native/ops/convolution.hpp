// Convolutions of 8-bit levels: y = clamp(round(multiplier * sum((x - x_zero) * w) + offset + residual_multiplier * r)).
// Pixels lie as [image][row][column][channel] (NHWC). Weights have 7 bits, as every int8 graph of a bundle has them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

#include "ops/parallel.hpp"

namespace zoo_ops {

struct Shape {
  size_t images, height, width, channels;
};

struct Window {
  size_t height, width, stride_y, stride_x, top, left, bottom, right;

  // Rows or columns of the answer. The window fits into the padded input at least once.
  size_t rows(const Shape& in) const { return (in.height + top + bottom - height) / stride_y + 1; }
  size_t columns(const Shape& in) const { return (in.width + left + right - width) / stride_x + 1; }
};

struct Layer {
  Window window;
  size_t in, out;         // channels
  bool depthwise;         // each channel has a filter of its own; in == out
  const int8_t* weights;  // [out][height][width][in, or 1 when depthwise]
  const float* multiplier;  // [out], as is offset
  const float* offset;
  uint8_t x_zero;             // the level that means 0, and that stands where there is no pixel
  float residual_multiplier;  // 0 where nothing is added
  uint8_t low, high;

  size_t depth() const { return window.height * window.width * (depthwise ? 1 : in); }  // products for a sum
};

class Convolution {
 public:
  virtual ~Convolution() = default;
  // `residual`: in the shape of `out`; null where the layer adds none.
  virtual void run(const uint8_t* in, const Shape& shape, const uint8_t* residual, uint8_t* out,
                   const Parallel& parallel) const = 0;
};

// The fastest of those below that computes this layer.
std::unique_ptr<Convolution> make_convolution(const Layer& layer);

std::unique_ptr<Convolution> make_winograd(const Layer& layer);  // null where it does not fit
std::unique_ptr<Convolution> make_depthwise(const Layer& layer);
std::unique_ptr<Convolution> make_direct(const Layer& layer);

// The largest level of each window; what is outside of the picture does not count.
void max_pool(const uint8_t* in, const Shape& shape, const Window& window, uint8_t* out, const Parallel& parallel);

// clamp(round(multiplier * sum over all pixels + offset)): [images][channels].
void mean(const uint8_t* in, const Shape& shape, float multiplier, float offset, uint8_t* out, const Parallel& parallel);

// table[channel][level] of every level; `table` has `shape.channels` rows of 256.
void levels(const uint8_t* in, const Shape& shape, const uint8_t* table, uint8_t* out, const Parallel& parallel);

}  // namespace zoo_ops
