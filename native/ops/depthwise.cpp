// A filter for each channel. Two taps at a time: levels and weights as 16-bit numbers, their products summed in pairs.
#include <algorithm>

#include "finish.hpp"

namespace zoo_ops {
namespace {

constexpr size_t kTapsAtOnce = 9;  // 3x3: a loop that the compiler takes apart

struct TapsUse {
  using Type = const uint8_t*;
};

class Depthwise : public Convolution {
 public:
  explicit Depthwise(const Layer& layer)
      : window_(layer.window), finish_(layer),
        outside_(panels(layer.in) * kPanel),
        weights_(panels(layer.in) * pairs() * 2 * kPanel) {
    const size_t taps = layer.depth();
    for (size_t channel = 0; channel < layer.in; ++channel) {
      outside_[channel] = layer.x_zero;
      for (size_t tap = 0; tap < taps; ++tap) {
        int16_t* pair = &weights_[(channel / kPanel * pairs() + tap / 2) * 2 * kPanel];
        pair[place(channel % kPanel) * 2 + tap % 2] = layer.weights[channel * taps + tap];
      }
    }
    finish_.subtract_zero(layer);
  }

  void run(const uint8_t* in, const Shape& shape, const uint8_t* residual, uint8_t* out,
           const Parallel& parallel) const override {
    const size_t rows = window_.rows(shape), columns = window_.columns(shape), channels = finish_.channels();
    parallel(shape.images * rows, [&](size_t task) {
      const size_t many = pairs() * 2, row = task * columns * channels;
      const uint8_t** taps = scratch<TapsUse>(columns * many);
      find(in, shape, task / rows, task % rows * window_.stride_y, columns, taps);
      for (size_t at = 0; at < channels; at += kPanel) {
        const uint8_t* add = residual == nullptr ? nullptr : residual + row + at;
        if (many == kTapsAtOnce + 1 && at + kPanel <= channels)
          whole<(kTapsAtOnce + 1) / 2>(taps, columns, at, add, out + row + at);
        else
          any(taps, columns, at, add, out + row + at);
      }
    });
  }

 private:
  size_t pairs() const { return (window_.height * window_.width + 1) / 2; }

  // Where unpacking two registers puts a channel: 0-3 and 8-11 into the first, 4-7 and 12-15 into the second.
  static size_t place(size_t lane) { return lane % 4 + lane / 8 * 4 + lane / 4 % 2 * 8; }

  // The pixels under each window of a row of the answer; what is outside, and the tap that makes the number even, is a
  // pixel that means 0.
  void find(const uint8_t* in, const Shape& shape, size_t image, size_t top, size_t columns,
            const uint8_t** taps) const {
    const size_t many = pairs() * 2, step = window_.stride_x * finish_.channels();
    for (size_t place = 0; place < columns; ++place, taps += many) {
      const size_t left = place * window_.stride_x;
      if (left >= window_.left + window_.stride_x && left + window_.width <= window_.left + shape.width) {
        // Like the window before, of which only rows can be outside.
        for (size_t tap = 0; tap < many; ++tap)
          taps[tap] = taps[tap - many] == outside_.data() ? outside_.data() : taps[tap - many] + step;
        continue;
      }
      size_t tap = 0;
      for (size_t y = 0; y < window_.height; ++y) {
        const size_t row = top + y - window_.top;  // wraps above the first
        const uint8_t* pixels = in + (image * shape.height + row) * shape.width * finish_.channels();
        for (size_t x = 0; x < window_.width; ++x, ++tap) {
          const size_t column = left + x - window_.left;
          const bool inside = row < shape.height && column < shape.width;
          taps[tap] = inside ? pixels + column * finish_.channels() : outside_.data();
        }
      }
      if (tap < many) taps[tap] = outside_.data();
    }
  }

  // A row of the answer in 16 channels. The loop over pairs of taps has to be one that the compiler takes apart, and a
  // function of its own: inlined, its registers are not enough for all that is around it.
  template <size_t count>
  __attribute__((noinline)) void whole(const uint8_t* const* taps, size_t columns, size_t at, const uint8_t* residual,
                                       uint8_t* out) const {
    const auto* stored = reinterpret_cast<const __m256i*>(&weights_[at * count * 2]);
    const Panel end = finish_.panel(at);
    const size_t channels = finish_.channels();
    for (size_t column = 0; column < columns; ++column, taps += 2 * count) {
      __m256i first = _mm256_setzero_si256(), second = first;
#pragma GCC unroll 8
      for (size_t pair = 0; pair < count; ++pair) {
        add(load(taps[2 * pair] + at), load(taps[2 * pair + 1] + at), stored + 2 * pair, first, second);
      }
      end.store(low(first, second), high(first, second), residual, out);
      out += channels;
      if (residual != nullptr) residual += channels;
    }
  }

  // The same for any number of taps, and for a last panel of fewer channels, which is not read over its end.
  void any(const uint8_t* const* taps, size_t columns, size_t at, const uint8_t* residual, uint8_t* out) const {
    const size_t count = std::min(kPanel, finish_.channels() - at);
    const auto* stored = reinterpret_cast<const __m256i*>(&weights_[at * pairs() * 2]);
    const Panel end = finish_.panel(at);
    alignas(kPanel) uint8_t one[kPanel] = {}, other[kPanel] = {};
    for (size_t column = 0; column < columns; ++column) {
      __m256i first = _mm256_setzero_si256(), second = first;
      for (size_t pair = 0; pair < pairs(); ++pair, taps += 2) {
        std::memcpy(one, *taps + at, count);
        std::memcpy(other, taps[1] + at, count);
        add(load(one), load(other), stored + 2 * pair, first, second);
      }
      end.store(low(first, second), high(first, second), residual, out, count);
      out += finish_.channels();
      if (residual != nullptr) residual += finish_.channels();
    }
  }

  // Two taps of 16 channels times their weights.
  static void add(__m256i a, __m256i b, const __m256i* weights, __m256i& first, __m256i& second) {
    first = _mm256_add_epi32(first, _mm256_madd_epi16(_mm256_unpacklo_epi16(a, b), _mm256_load_si256(weights)));
    second = _mm256_add_epi32(second, _mm256_madd_epi16(_mm256_unpackhi_epi16(a, b), _mm256_load_si256(weights + 1)));
  }

  // Channels 0 to 7, and 8 to 15.
  static __m256i low(__m256i first, __m256i second) { return _mm256_permute2x128_si256(first, second, 0x20); }
  static __m256i high(__m256i first, __m256i second) { return _mm256_permute2x128_si256(first, second, 0x31); }

  static __m256i load(const uint8_t* levels) {
    return _mm256_cvtepu8_epi16(_mm_loadu_si128(reinterpret_cast<const __m128i*>(levels)));
  }

  Window window_;
  Finish finish_;
  Buffer<uint8_t> outside_;
  Buffer<int16_t> weights_;  // [panel][pair of taps][16, as `place` says][2]
};

}  // namespace

std::unique_ptr<Convolution> make_depthwise(const Layer& layer) { return std::make_unique<Depthwise>(layer); }

}  // namespace zoo_ops
