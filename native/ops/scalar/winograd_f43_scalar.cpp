// 3x3 convolutions of stride 1 by Winograd's F(4x4, 3x3) (ops/common/winograd_f43.hpp), a channel at a time: the
// reference for ops/avx2/winograd_f43_avx2.cpp. All is exact in whole numbers up to A', which has the order of that
// kernel's float operations.
#include <algorithm>
#include <cmath>
#include <vector>

#include "ops/scalar/kernels_scalar.hpp"
#include "ops/scalar/requantize_scalar.hpp"
#include "ops/common/winograd_f43.hpp"

namespace zoo_ops {
namespace {

using namespace winograd_f43;

constexpr size_t kTiles = 96;  // that are computed together, so that a filter is expanded once for all of them

struct TransformedUse {
  using Type = int16_t;
};
struct FilterUse {
  using Type = int16_t;
};

// A' of six values, divided by what made kFilter whole.
void output_transform(const float* m, size_t from, float* out, size_t to) {
  const float m0 = m[0], m1 = m[from], m2 = m[2 * from], m3 = m[3 * from], m4 = m[4 * from], m5 = m[5 * from];
  const float a = m1 + m2, b = m1 - m2, c = m3 + m4, d = m3 - m4;
  const auto sixth = static_cast<float>(-1. / 6);
  const float e = a * sixth, f = b * sixth;
  out[0] = std::fma(c, static_cast<float>(1. / 24), std::fma(m0, static_cast<float>(1. / 4), e));
  out[to] = std::fma(d, static_cast<float>(2. / 24), f);
  out[2 * to] = std::fma(c, static_cast<float>(4. / 24), e);
  out[3 * to] = std::fma(d, static_cast<float>(8. / 24), f) + m5;
}

int32_t dot(const int16_t* a, const int16_t* b, size_t count) {
  int32_t sum = 0;
  for (size_t at = 0; at < count; ++at) sum += a[at] * b[at];
  return sum;
}

class WinogradScalar : public Convolution {
 public:
  explicit WinogradScalar(const Layer& layer)
      : in_(layer.in),
        zero_(layer.x_zero),
        requantizer_(layer),
        weights_(layer.weights, layer.weights + layer.out * kTaps * layer.in) {}

  void run(const uint8_t* in, const Shape& shape, const uint8_t* residual, uint8_t* out,
           const Parallel& parallel) const override {
    const Grid grid(shape);
    for (size_t first = 0; first < grid.tiles(); first += kTiles) {
      const size_t count = std::min(kTiles, grid.tiles() - first);
      int16_t* transformed = scratch<TransformedUse>(count * kPositions * in_);
      parallel(count, [&](size_t tile) { transform(in, grid, first + tile, transformed + tile * kPositions * in_); });
      parallel(requantizer_.channels(), [&](size_t channel) {
        const int16_t* filter = expanded(channel);
        for (size_t tile = 0; tile < count; ++tile)
          write(transformed + tile * kPositions * in_, filter, grid, first + tile, channel, residual, out);
      });
    }
  }

 private:
  // B' x B of a tile: [36][in].
  void transform(const uint8_t* in, const Grid& grid, size_t tile, int16_t* out) const {
    const Shape& shape = grid.shape;
    const size_t image = tile / (grid.across * grid.down), top = tile / grid.across % grid.down * kStep,
                 left = tile % grid.across * kStep;
    for (size_t channel = 0; channel < in_; ++channel) {
      int pixels[kSide][kSide], half[kSide][kSide] = {};
      for (size_t y = 0; y < kSide; ++y)
        for (size_t x = 0; x < kSide; ++x) {
          const size_t line = top + y - 1, at = left + x - 1;  // wrap above the first line and before the first pixel
          pixels[y][x] = line < shape.height && at < shape.width
                             ? in[((image * shape.height + line) * shape.width + at) * in_ + channel] - zero_
                             : 0;
        }
      for (size_t row = 0; row < kSide; ++row)
        for (size_t x = 0; x < kSide; ++x)
          for (size_t y = 0; y < kSide; ++y) half[row][x] += kInput[row][y] * pixels[y][x];
      for (size_t row = 0; row < kSide; ++row)
        for (size_t column = 0; column < kSide; ++column) {
          int whole = 0;
          for (size_t x = 0; x < kSide; ++x) whole += kInput[column][x] * half[row][x];
          out[(row * kSide + column) * in_ + channel] = static_cast<int16_t>(whole);
        }
    }
  }

  // G w G' of the filters of one output channel: [36][in], in memory of this thread.
  const int16_t* expanded(size_t channel) const {
    const int8_t* filters = weights_.data() + channel * kTaps * in_;
    int16_t* out = scratch<FilterUse>(kPositions * in_);
    for (size_t from = 0; from < in_; ++from)
      for (size_t row = 0; row < kSide; ++row) {
        int half[3] = {};
        for (size_t x = 0; x < 3; ++x)
          for (size_t y = 0; y < 3; ++y) half[x] += kFilter[row][y] * filters[(3 * y + x) * in_ + from];
        for (size_t column = 0; column < kSide; ++column) {
          int whole = 0;
          for (size_t x = 0; x < 3; ++x) whole += kFilter[column][x] * half[x];
          out[(row * kSide + column) * in_ + from] = static_cast<int16_t>(whole);
        }
      }
    return out;
  }

  // A' m A of one tile and output channel, requantised.
  void write(const int16_t* transformed, const int16_t* filter, const Grid& grid, size_t tile, size_t channel,
             const uint8_t* residual, uint8_t* out) const {
    float products[kPositions], half[kStep * kSide], pixels[kStep * kStep];
    for (size_t position = 0; position < kPositions; ++position)
      products[position] = static_cast<float>(dot(transformed + position * in_, filter + position * in_, in_));
    for (size_t x = 0; x < kSide; ++x) output_transform(products + x, kSide, half + x, kSide);
    for (size_t y = 0; y < kStep; ++y) output_transform(half + y * kSide, 1, pixels + y * kStep, 1);
    const Shape& shape = grid.shape;
    const size_t image = tile / (grid.across * grid.down), top = tile / grid.across % grid.down * kStep,
                 left = tile % grid.across * kStep;
    for (size_t y = 0; y < std::min(kStep, shape.height - top); ++y)
      for (size_t x = 0; x < std::min(kStep, shape.width - left); ++x) {
        const size_t at = ((image * shape.height + top + y) * shape.width + left + x) * requantizer_.channels() + channel;
        out[at] = requantize(requantizer_, channel, pixels[y * kStep + x], residual == nullptr ? nullptr : residual + at);
      }
  }

  size_t in_;
  uint8_t zero_;
  Requantizer requantizer_;
  std::vector<int8_t> weights_;  // [out][3][3][in]
};

}  // namespace

std::unique_ptr<Convolution> make_winograd_f43_scalar(const Layer& layer) {
  return fits(layer) ? std::make_unique<WinogradScalar>(layer) : nullptr;
}

}  // namespace zoo_ops
