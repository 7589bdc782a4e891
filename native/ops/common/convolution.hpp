// Layers on 8-bit tensors, as the operators of the domain zoo.int8 compute them (docs/winograd.md).
//
// A level is a quantised value, uint8. Tensors of levels lie as [image][row][column][channel] (NHWC) without gaps.
// Weights are int8 between -64 and 64 (7 bits), as in every int8 graph of a bundle.
#pragma once

#include <cstddef>
#include <cstdint>

#include "ops/common/parallel.hpp"

namespace zoo_ops {

struct Shape {
  size_t images, height, width, channels;
};

// Which pixels an output pixel is computed from. `top` to `right` are pads, in pixels.
struct Window {
  size_t height, width, stride_y, stride_x, top, left, bottom, right;

  // Rows and columns of the output. The window fits into the padded input at least once.
  size_t rows(const Shape& in) const { return (in.height + top + bottom - height) / stride_y + 1; }
  size_t columns(const Shape& in) const { return (in.width + left + right - width) / stride_x + 1; }
};

// A convolution. ops/common/requantize.hpp has its arithmetic after the sum over (x - x_zero) * w.
struct Layer {
  Window window;
  size_t in, out;           // channels
  bool depthwise;           // each channel has a filter of its own; in == out
  const int8_t* weights;    // [out][height][width][in, or 1 when depthwise]
  const float* multiplier;  // [out]
  const float* offset;      // [out]
  uint8_t x_zero;             // the level that stands for 0; pads have it
  float residual_multiplier;  // 0 where no residual is added
  uint8_t low, high;          // bounds of the output's levels

  size_t depth() const { return window.height * window.width * (depthwise ? 1 : in); }  // products in one sum
};

// A layer with its weights in the order that a kernel reads. Immutable; shared between threads.
class Convolution {
 public:
  virtual ~Convolution() = default;
  // `in`: levels of `shape`. `residual`: levels in the output's shape, or null where the layer adds none.
  // `out`: [shape.images][rows][columns][out]. Throws std::bad_alloc.
  virtual void run(const uint8_t* in, const Shape& shape, const uint8_t* residual, uint8_t* out,
                   const Parallel& parallel) const = 0;
};

}  // namespace zoo_ops
