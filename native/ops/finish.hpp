// The end of every layer: sums become levels again. 16 channels at a time, a panel.
#pragma once

#include <immintrin.h>

#include <cmath>
#include <cstring>
#include <stdexcept>

#include "convolution.hpp"

namespace zoo_ops {

constexpr size_t kPanel = 16;
constexpr float kLargest = 2e9F;

inline size_t panels(size_t channels) { return (channels + kPanel - 1) / kPanel; }

// What a layer's sums are multiplied with and what is added, filled up to whole panels.
class Finish {
 public:
  explicit Finish(const Layer& layer)
      : multiplier(panels(layer.out) * kPanel),
        offset(panels(layer.out) * kPanel),
        channels_(layer.out),
        residual_multiplier_(layer.residual_multiplier),
        low_(static_cast<char>(layer.low)),
        high_(static_cast<char>(layer.high)) {
    std::memcpy(multiplier.data(), layer.multiplier, layer.out * sizeof(float));
    std::memcpy(offset.data(), layer.offset, layer.out * sizeof(float));
    // A level beyond 2^31 would be stored as 0. Only a multiplier that makes no sense gives one.
    const size_t depth = layer.window.height * layer.window.width * (layer.depthwise ? 1 : layer.in);
    const float largest = 255.0F * 64.0F * static_cast<float>(depth);
    for (size_t channel = 0; channel < channels_; ++channel)
      if (!(std::abs(multiplier[channel]) * largest + std::abs(offset[channel]) < kLargest))
        throw std::invalid_argument("a multiplier or an offset is out of all proportion");
  }

  // Sums over (x - x_zero) * w from sums over x * w: `weights` gives each channel's sum of weights.
  template <typename WeightSum>
  void subtract_zero(uint8_t zero, WeightSum&& weights) {
    for (size_t channel = 0; channel < channels_; ++channel) {
      const double shift = static_cast<double>(multiplier[channel]) * zero * weights(channel);
      offset[channel] = static_cast<float>(static_cast<double>(offset[channel]) - shift);
    }
  }

  size_t channels() const { return channels_; }

  // Of a panel's first channel at `at`: writes the levels of `a` (8 channels) and `b` (8 more), which are multiplied and
  // shifted already. `residual` points at the same channels, or is null.
  void store(__m256 a, __m256 b, const uint8_t* residual, uint8_t* out, size_t at) const {
    const size_t count = channels_ - at;
    if (count >= kPanel) {
      const __m128i r = residual == nullptr ? _mm_setzero_si128() : load(residual);
      save(out, round(a, b, residual, r));
      return;
    }
    alignas(kPanel) uint8_t part[kPanel] = {};
    if (residual != nullptr) std::memcpy(part, residual, count);
    save(part, round(a, b, residual, load(part)));
    std::memcpy(out, part, count);
  }

  Buffer<float> multiplier, offset;

 private:
  static __m128i load(const uint8_t* from) { return _mm_loadu_si128(reinterpret_cast<const __m128i*>(from)); }
  static void save(uint8_t* to, __m128i levels) { _mm_storeu_si128(reinterpret_cast<__m128i*>(to), levels); }

  __m128i round(__m256 a, __m256 b, const uint8_t* residual, __m128i r) const {
    if (residual != nullptr) {
      const __m256 by = _mm256_set1_ps(residual_multiplier_);
      a = _mm256_fmadd_ps(_mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(r)), by, a);
      b = _mm256_fmadd_ps(_mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(_mm_srli_si128(r, 8))), by, b);
    }
    const __m256i words = _mm256_packs_epi32(_mm256_cvtps_epi32(a), _mm256_cvtps_epi32(b));
    const __m256i ordered = _mm256_permute4x64_epi64(words, 0xD8);
    const __m128i found = _mm_packus_epi16(_mm256_castsi256_si128(ordered), _mm256_extracti128_si256(ordered, 1));
    return _mm_min_epu8(_mm_max_epu8(found, _mm_set1_epi8(low_)), _mm_set1_epi8(high_));
  }

  size_t channels_;
  float residual_multiplier_;
  char low_, high_;
};

// Keeps the compiler from moving a later row's work in front of this one's, for which it has too few registers.
inline void pin(__m256i& a, __m256i& b) { asm volatile("" : "+x"(a), "+x"(b)); }

}  // namespace zoo_ops
