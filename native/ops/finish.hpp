// The end of every layer: sums become levels again. 16 channels at a time, a panel.
#pragma once

#include <immintrin.h>

#include <cmath>
#include <cstring>
#include <numeric>
#include <stdexcept>

#include "convolution.hpp"

namespace zoo_ops {

constexpr size_t kPanel = 16;
constexpr float kLargest = 2e9F;

inline size_t panels(size_t channels) { return (channels + kPanel - 1) / kPanel; }

// The end of 16 channels, held in registers: what is stored cannot change it, which a compiler has to assume of memory.
class Panel {
 public:
  Panel(const float* multiplier, const float* offset, float residual_multiplier, uint8_t low, uint8_t high)
      : by_{_mm256_load_ps(multiplier), _mm256_load_ps(multiplier + 8)},
        plus_{_mm256_load_ps(offset), _mm256_load_ps(offset + 8)},
        residual_by_(_mm256_set1_ps(residual_multiplier)),
        low_(_mm_set1_epi8(static_cast<char>(low))),
        high_(_mm_set1_epi8(static_cast<char>(high))) {}

  // Writes the levels of the sums `a` of 8 channels and `b` of 8 more. `residual` points at the same channels, or is null.
  void store(__m256 a, __m256 b, const uint8_t* residual, uint8_t* out) const {
    a = _mm256_fmadd_ps(a, by_[0], plus_[0]);
    b = _mm256_fmadd_ps(b, by_[1], plus_[1]);
    if (residual != nullptr) {
      const __m128i r = _mm_loadu_si128(reinterpret_cast<const __m128i*>(residual));
      a = _mm256_fmadd_ps(_mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(r)), residual_by_, a);
      b = _mm256_fmadd_ps(_mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(_mm_srli_si128(r, 8))), residual_by_, b);
    }
    const __m256i words = _mm256_packs_epi32(_mm256_cvtps_epi32(a), _mm256_cvtps_epi32(b));
    const __m256i ordered = _mm256_permute4x64_epi64(words, 0xD8);
    const __m128i found = _mm_packus_epi16(_mm256_castsi256_si128(ordered), _mm256_extracti128_si256(ordered, 1));
    _mm_storeu_si128(reinterpret_cast<__m128i*>(out), _mm_min_epu8(_mm_max_epu8(found, low_), high_));
  }

  void store(__m256i a, __m256i b, const uint8_t* residual, uint8_t* out) const {
    store(_mm256_cvtepi32_ps(a), _mm256_cvtepi32_ps(b), residual, out);
  }

  // The same of the first `count` channels, and nothing is read or written behind them.
  template <typename Sums>
  void store(Sums a, Sums b, const uint8_t* residual, uint8_t* out, size_t count) const {
    if (count >= kPanel) return store(a, b, residual, out);
    alignas(kPanel) uint8_t part[kPanel] = {};
    if (residual != nullptr) std::memcpy(part, residual, count);
    store(a, b, residual == nullptr ? nullptr : part, part);
    std::memcpy(out, part, count);
  }

 private:
  __m256 by_[2], plus_[2], residual_by_;
  __m128i low_, high_;
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

// Keeps the compiler from moving a later row's work in front of this one's, for which it has too few registers.
inline void pin(__m256i& a, __m256i& b) { asm volatile("" : "+x"(a), "+x"(b)); }

}  // namespace zoo_ops
