// Requantisation of 16 channels (a panel) at a time. The scalar twin: ops/scalar/requantize_scalar.hpp.
#pragma once

#include <immintrin.h>

#include "ops/common/requantize.hpp"

namespace zoo_ops {

// The multipliers, offsets and bounds of one panel, in registers.
class PanelRequantizer {
 public:
  // `channel`: the first one of the panel.
  PanelRequantizer(const Requantizer& layer, size_t channel)
      : by_{_mm256_load_ps(layer.multiplier() + channel), _mm256_load_ps(layer.multiplier() + channel + 8)},
        plus_{_mm256_load_ps(layer.offset() + channel), _mm256_load_ps(layer.offset() + channel + 8)},
        residual_by_(_mm256_set1_ps(layer.residual_multiplier())),
        low_(_mm256_set1_epi8(static_cast<char>(layer.low()))),
        high_(_mm256_set1_epi8(static_cast<char>(layer.high()))) {}

  // The sums of channels 0-7 and 8-15 of one pixel. `residual` points at the same channels, or is null.
  struct Pixel {
    __m256 left, right;
    const uint8_t* residual;
    uint8_t* out;
  };

  // Two pixels at once, because packing is most of the work. Reads and writes all 16 channels.
  void store(const Pixel& one, const Pixel& other) const {
    const __m256i mixed = _mm256_packus_epi16(words(one), words(other));
    const __m256i levels = _mm256_permutevar8x32_epi32(mixed, _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7));
    const __m256i limited = _mm256_min_epu8(_mm256_max_epu8(levels, low_), high_);
    _mm_storeu_si128(reinterpret_cast<__m128i*>(one.out), _mm256_castsi256_si128(limited));
    _mm_storeu_si128(reinterpret_cast<__m128i*>(other.out), _mm256_extracti128_si256(limited, 1));
  }

 private:
  // The rounded values as int16, not yet limited: channels 0-3 and 8-11 in the lower half of the register, 4-7 and
  // 12-15 in the upper one.
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

}  // namespace zoo_ops
