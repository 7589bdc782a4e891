// The layers between convolutions with AVX2: the largest level of a window, the mean of a picture, levels by a table.
// The scalar twins: ops/scalar/pool_scalar.cpp.
#include <algorithm>
#include <cmath>

#include <cstring>

#include <immintrin.h>

#include "ops/avx2/kernels_avx2.hpp"
#include "ops/common/requantize.hpp"

namespace zoo_ops {

constexpr size_t kBytes = sizeof(__m256i);  // of a register
constexpr size_t kPixels = 4096;            // in one task of `levels`

void max_pool_avx2(const uint8_t* in, const Shape& shape, const Window& window, uint8_t* out, const Parallel& parallel) {
  const size_t rows = window.rows(shape), columns = window.columns(shape), channels = shape.channels;
  parallel(shape.images * rows, [&](size_t task) {
    const uint8_t* image = in + task / rows * shape.height * shape.width * channels;
    const size_t down = task % rows * window.stride_y;
    const size_t top = std::max(down, window.top) - window.top;
    const size_t bottom = std::min(down + window.height - window.top, shape.height);
    for (size_t column = 0; column < columns; ++column) {
      const size_t right = std::min(column * window.stride_x + window.width - window.left, shape.width);
      const size_t left = std::max(column * window.stride_x, window.left) - window.left;
      uint8_t* to = out + (task * columns + column) * channels;
      std::memset(to, 0, channels);
      for (size_t y = top; y < bottom; ++y) {
        for (size_t x = left; x < right; ++x) {
          const uint8_t* from = image + (y * shape.width + x) * channels;
          size_t at = 0;
          for (; at + kBytes <= channels; at += kBytes) {
            auto* place = reinterpret_cast<__m256i*>(to + at);
            _mm256_storeu_si256(place, _mm256_max_epu8(_mm256_loadu_si256(place),
                                                       _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from + at))));
          }
          for (; at < channels; ++at) to[at] = std::max(to[at], from[at]);
        }
      }
    }
  });
}

void mean_avx2(const uint8_t* in, const Shape& shape, float multiplier, float offset, uint8_t* out,
               const Parallel& parallel) {
  const size_t pixels = shape.height * shape.width, channels = shape.channels, parts = panels(channels);
  parallel(shape.images * parts, [&](size_t task) {
    const size_t image = task / parts, start = task % parts * kPanel, count = std::min(kPanel, channels - start);
    const uint8_t* from = in + image * pixels * channels + start;
    uint32_t sums[kPanel] = {};
    for (size_t pixel = 0; pixel < pixels; ++pixel, from += channels)
      for (size_t at = 0; at < count; ++at) sums[at] += from[at];
    for (size_t at = 0; at < count; ++at) {
      const float level = std::nearbyint(std::fma(multiplier, static_cast<float>(sums[at]), offset));
      out[image * channels + start + at] = static_cast<uint8_t>(std::clamp(level, 0.0F, 255.0F));
    }
  });
}

// `channels` may be a constant: then the compiler unrolls the inner loop.
template <typename Channels>
static void look_up(const uint8_t* in, size_t pixels, Channels channels, const uint8_t* table, uint8_t* out) {
  for (size_t pixel = 0; pixel < pixels; ++pixel, in += channels, out += channels)
    for (size_t channel = 0; channel < channels; ++channel) out[channel] = table[channel * 256 + in[channel]];
}

void levels_avx2(const uint8_t* in, const Shape& shape, const uint8_t* table, uint8_t* out, const Parallel& parallel) {
  const size_t pixels = shape.images * shape.height * shape.width, channels = shape.channels;
  parallel((pixels + kPixels - 1) / kPixels, [&](size_t task) {
    const size_t first = task * kPixels, count = std::min(kPixels, pixels - first), at = first * channels;
    if (channels == 3)
      look_up(in + at, count, std::integral_constant<size_t, 3>(), table, out + at);
    else
      look_up(in + at, count, channels, table, out + at);
  });
}

}  // namespace zoo_ops
