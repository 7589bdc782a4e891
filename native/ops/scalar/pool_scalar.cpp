// The layers between convolutions, as their definitions say: the reference for ops/avx2/pool_avx2.cpp.
#include <algorithm>
#include <cmath>

#include "ops/scalar/kernels_scalar.hpp"

namespace zoo_ops {

void max_pool_scalar(const uint8_t* in, const Shape& shape, const Window& window, uint8_t* out,
                     const Parallel& parallel) {
  const size_t rows = window.rows(shape), columns = window.columns(shape), channels = shape.channels;
  parallel(shape.images * rows, [&](size_t row) {
    const uint8_t* image = in + row / rows * shape.height * shape.width * channels;
    for (size_t column = 0; column < columns; ++column) {
      uint8_t* to = out + (row * columns + column) * channels;
      std::fill_n(to, channels, uint8_t{0});
      for (size_t y = 0; y < window.height; ++y) {
        const size_t line = row % rows * window.stride_y + y - window.top;  // wraps above the first line
        for (size_t x = 0; x < window.width; ++x) {
          const size_t at = column * window.stride_x + x - window.left;  // wraps before the first pixel
          if (line >= shape.height || at >= shape.width) continue;
          const uint8_t* from = image + (line * shape.width + at) * channels;
          for (size_t channel = 0; channel < channels; ++channel) to[channel] = std::max(to[channel], from[channel]);
        }
      }
    }
  });
}

void mean_scalar(const uint8_t* in, const Shape& shape, float multiplier, float offset, uint8_t* out,
                 const Parallel& parallel) {
  const size_t pixels = shape.height * shape.width, channels = shape.channels;
  parallel(shape.images, [&](size_t image) {
    for (size_t channel = 0; channel < channels; ++channel) {
      uint32_t sum = 0;
      for (size_t pixel = 0; pixel < pixels; ++pixel) sum += in[(image * pixels + pixel) * channels + channel];
      const float level = std::nearbyint(std::fma(multiplier, static_cast<float>(sum), offset));
      out[image * channels + channel] = static_cast<uint8_t>(std::clamp(level, 0.0F, 255.0F));
    }
  });
}

void levels_scalar(const uint8_t* in, const Shape& shape, const uint8_t* table, uint8_t* out,
                   const Parallel& parallel) {
  const size_t line = shape.width * shape.channels;
  parallel(shape.images * shape.height, [&](size_t row) {
    for (size_t at = row * line; at < (row + 1) * line; ++at) out[at] = table[at % shape.channels * 256 + in[at]];
  });
}

}  // namespace zoo_ops
