// A filter for each channel. Two taps at a time: levels and weights as 16-bit numbers, their products summed in pairs.
#include <algorithm>
#include <vector>

#include "finish.hpp"

namespace zoo_ops {
namespace {

class Depthwise : public Convolution {
 public:
  explicit Depthwise(const Layer& layer)
      : window_(layer.window), zero_(layer.x_zero), finish_(layer),
        outside_(panels(layer.in) * kPanel),
        weights_(panels(layer.in) * pairs() * 2 * kPanel) {
    const size_t taps = window_.height * window_.width;
    for (size_t channel = 0; channel < layer.in; ++channel) {
      outside_[channel] = zero_;
      for (size_t tap = 0; tap < taps; ++tap) {
        int16_t* pair = &weights_[(channel / kPanel * pairs() + tap / 2) * 2 * kPanel];
        pair[place(channel % kPanel) * 2 + tap % 2] = layer.weights[channel * taps + tap];
      }
    }
    finish_.subtract_zero(zero_, [&](size_t channel) {
      double sum = 0;
      for (size_t tap = 0; tap < taps; ++tap) sum += layer.weights[channel * taps + tap];
      return sum;
    });
  }

  void run(const uint8_t* in, const Shape& shape, const uint8_t* residual, uint8_t* out,
           const Parallel& parallel) const override {
    const size_t rows = window_.rows(shape), columns = window_.columns(shape), channels = finish_.channels();
    parallel(shape.images * rows, [&](size_t task) {
      const size_t image = task / rows;
      const uint8_t** taps = scratch<TapsUse>(pairs() * 2);
      for (size_t column = 0; column < columns; ++column) {
        find(in, shape, image, task % rows * window_.stride_y, column * window_.stride_x, taps);
        const size_t place = (task * columns + column) * channels;
        for (size_t at = 0; at < channels; at += kPanel)
          pixel(taps, at, residual == nullptr ? nullptr : residual + place + at, out + place + at);
      }
    });
  }

 private:
  struct TapsUse {
    using Type = const uint8_t*;
  };

  size_t pairs() const { return (window_.height * window_.width + 1) / 2; }

  // Where unpacking two registers puts a channel: 0-3 and 8-11 into the first, 4-7 and 12-15 into the second. Packing
  // two registers of sums puts them back in order.
  static size_t place(size_t lane) { return lane % 4 + lane / 8 * 4 + lane / 4 % 2 * 8; }

  // The pixels under a window, row by row; what is outside, and the tap that makes the number even, mean 0.
  void find(const uint8_t* in, const Shape& shape, size_t image, size_t top, size_t left, const uint8_t** taps) const {
    for (size_t y = 0; y < window_.height; ++y) {
      const size_t row = top + y - window_.top;  // wraps above the first
      for (size_t x = 0; x < window_.width; ++x) {
        const size_t column = left + x - window_.left;
        *taps++ = row < shape.height && column < shape.width
                      ? in + ((image * shape.height + row) * shape.width + column) * finish_.channels()
                      : outside_.data();
      }
    }
    *taps = outside_.data();
  }

  void pixel(const uint8_t* const* taps, size_t at, const uint8_t* residual, uint8_t* out) const {
    const size_t count = std::min(kPanel, finish_.channels() - at);
    const auto* weights = reinterpret_cast<const __m256i*>(&weights_[at * pairs() * 2]);
    __m256i first = _mm256_setzero_si256(), second = first;
    for (size_t pair = 0; pair < pairs(); ++pair, taps += 2, weights += 2) {
      const __m256i a = load(*taps, at, count), b = load(taps[1], at, count);
      first = _mm256_add_epi32(first, _mm256_madd_epi16(_mm256_unpacklo_epi16(a, b), _mm256_load_si256(weights)));
      second = _mm256_add_epi32(second, _mm256_madd_epi16(_mm256_unpackhi_epi16(a, b), _mm256_load_si256(weights + 1)));
    }
    const __m256i low = _mm256_permute2x128_si256(first, second, 0x20);    // channels 0 to 7
    const __m256i high = _mm256_permute2x128_si256(first, second, 0x31);
    const float *by = finish_.multiplier.data() + at, *plus = finish_.offset.data() + at;
    finish_.store(_mm256_fmadd_ps(_mm256_cvtepi32_ps(low), _mm256_load_ps(by), _mm256_load_ps(plus)),
                  _mm256_fmadd_ps(_mm256_cvtepi32_ps(high), _mm256_load_ps(by + 8), _mm256_load_ps(plus + 8)), residual,
                  out, at);
  }

  // `count` levels as 16-bit numbers; a short last panel is not read over its end.
  static __m256i load(const uint8_t* pixel, size_t at, size_t count) {
    if (count == kPanel) return _mm256_cvtepu8_epi16(_mm_loadu_si128(reinterpret_cast<const __m128i*>(pixel + at)));
    alignas(kPanel) uint8_t part[kPanel] = {};
    std::memcpy(part, pixel + at, count);
    return _mm256_cvtepu8_epi16(_mm_load_si128(reinterpret_cast<const __m128i*>(part)));
  }

  Window window_;
  uint8_t zero_;
  Finish finish_;
  Buffer<uint8_t> outside_;
  Buffer<int16_t> weights_;  // [panel][pair of taps][16, as `place` says][2]
};

}  // namespace

std::unique_ptr<Convolution> make_depthwise(const Layer& layer) { return std::make_unique<Depthwise>(layer); }

}  // namespace zoo_ops
