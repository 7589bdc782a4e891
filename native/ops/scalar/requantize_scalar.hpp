// Requantisation of one channel: the reference for ops/avx2/requantize_avx2.hpp, whose rounding and saturation it has.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>

#include "ops/common/requantize.hpp"

namespace zoo_ops {

// Half to even. A value that int32 does not hold, and NaN, become the lowest int32, as vcvtps2dq has it.
inline int32_t rounded(float value) {
  constexpr float kBeyond = 2147483648.0F;  // 2^31
  return value >= -kBeyond && value < kBeyond ? static_cast<int32_t>(std::nearbyint(value))
                                              : std::numeric_limits<int32_t>::min();
}

// `sum`: of (x - x_zero) * w, or of x * w after Requantizer::subtract_zero_point. `residual`: the level of this channel
// in the residual, or null.
inline uint8_t requantize(const Requantizer& layer, size_t channel, float sum, const uint8_t* residual) {
  float value = std::fma(sum, layer.multiplier()[channel], layer.offset()[channel]);
  if (residual != nullptr) value = std::fma(static_cast<float>(*residual), layer.residual_multiplier(), value);
  const auto level = static_cast<uint8_t>(std::clamp(rounded(value), 0, 255));
  return std::min(std::max(level, layer.low()), layer.high());
}

}  // namespace zoo_ops
