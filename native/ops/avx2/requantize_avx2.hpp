// The end of every layer: sums become levels again. 16 channels at a time, a panel.
#pragma once

#include <immintrin.h>

#include <cmath>
#include <cstring>
#include <numeric>
#include <stdexcept>

#include "ops/convolution.hpp"

namespace zoo_ops {

constexpr size_t kPanel = 16;
constexpr float kLargest = 2e9F;

inline size_t panels(size_t channels) { return (channels + kPanel - 1) / kPanel; }

// The end of 16 channels.
class Panel {
 public:
  Panel(const float* multiplier, const float* offset, float residual_multiplier, uint8_t low, uint8_t high)
      : by_{_mm256_load_ps(multiplier), _mm256_load_ps(multiplier + 8)},
        plus_{_mm256_load_ps(offset), _mm256_load_ps(offset + 8)},
        residual_by_(_mm256_set1_ps(residual_multiplier)),
        low_(_mm256_set1_epi8(static_cast<char>(low))),
        high_(_mm256_set1_epi8(static_cast<char>(high))) {}

  // The sums of 8 channels and of 8 more. `residual` points at the same channels, or is null.
  struct Pixel {
    __m256 left, right;
    const uint8_t* residual;
    uint8_t* out;
  };

  // Two pixels at once, because packing is most of the work. All 16 channels are read and written.
  void store(const Pixel& one, const Pixel& other) const {
    const __m256i mixed = _mm256_packus_epi16(words(one), words(other));
    const __m256i found = _mm256_permutevar8x32_epi32(mixed, _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7));
    const __m256i limited = _mm256_min_epu8(_mm256_max_epu8(found, low_), high_);
    _mm_storeu_si128(reinterpret_cast<__m128i*>(one.out), _mm256_castsi256_si128(limited));
    _mm_storeu_si128(reinterpret_cast<__m128i*>(other.out), _mm256_extracti128_si256(limited, 1));
  }

 private:
  // The levels, not yet limited, as words: 0-3 and 8-11 in one half of the register, 4-7 and 12-15 in the other.
  __m256i words(const Pixel& pixel) const {
    __m256 left = _mm256_fmadd_ps(pixel.left, by_[0], plus_[0]), right = _mm256_fmadd_ps(pixel.right, by_[1], plus_[1]);
    if (pixel.residual != nullptr) {
      left = _mm256_fmadd_ps(load(pixel.residual), residual_by_, left);
      right = _mm256_fmadd_ps(load(pixel.residual + 8), residual_by_, right);
    }
    return _mm256_packs_epi32(_mm256_cvtps_epi32(left), _mm256_cvtps_epi32(right));
  }

  static __m256 load(const uint8_t* levels) {
    const __m128i eight = _mm_loadl_epi64(reinterpret_cast<const __m128i*>(levels));
    return _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(eight));
  }

  __m256 by_[2], plus_[2], residual_by_;
  __m256i low_, high_;
};

// What a layer's sums are multiplied with and what is added, filled up to whole panels.
class Finish {
 public:
  explicit Finish(const Layer& layer)
      : multiplier_(panels(layer.out) * kPanel),
        offset_(panels(layer.out) * kPanel),
        channels_(layer.out),
        residual_multiplier_(layer.residual_multiplier),
        low_(layer.low),
        high_(layer.high) {
    std::memcpy(multiplier_.data(), layer.multiplier, layer.out * sizeof(float));
    std::memcpy(offset_.data(), layer.offset, layer.out * sizeof(float));
    // A level beyond 2^31 would be stored as 0. Only a multiplier that makes no sense gives one.
    const float largest = 255.0F * 64.0F * static_cast<float>(layer.depth());
    for (size_t channel = 0; channel < channels_; ++channel)
      if (!(std::abs(multiplier_[channel]) * largest + std::abs(offset_[channel]) < kLargest))
        throw std::invalid_argument("a multiplier or an offset is out of all proportion");
  }

  // From now on the sums that are stored are those over x * w, and not over (x - x_zero) * w.
  void subtract_zero(const Layer& layer) {
    for (size_t channel = 0; channel < channels_; ++channel) {
      const int8_t* weights = layer.weights + channel * layer.depth();
      const double sum = std::accumulate(weights, weights + layer.depth(), 0.0);
      const double shift = static_cast<double>(multiplier_[channel]) * layer.x_zero * sum;
      offset_[channel] = static_cast<float>(static_cast<double>(offset_[channel]) - shift);
    }
  }

  size_t channels() const { return channels_; }
  const float* multiplier() const { return multiplier_.data(); }
  const float* offset() const { return offset_.data(); }

  // The end of the panel whose first channel is `at`.
  Panel panel(size_t at) const {
    return {multiplier_.data() + at, offset_.data() + at, residual_multiplier_, low_, high_};
  }

 private:
  Buffer<float> multiplier_, offset_;
  size_t channels_;
  float residual_multiplier_;
  uint8_t low_, high_;
};

// Four bytes, four levels or two numbers of 16 bits, eight times.
inline __m256i repeat(const void* from) {
  int32_t four;
  std::memcpy(&four, from, sizeof four);
  return _mm256_set1_epi32(four);
}

// sum += more, here and in place: a compiler would move a later row's work in front of this one's, for which it has too few
// registers, and copy sums around.
inline void accumulate(__m256i& sum, __m256i more) { asm volatile("vpaddd %1, %0, %0" : "+x"(sum) : "x"(more)); }

}  // namespace zoo_ops
