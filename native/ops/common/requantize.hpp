// Requantisation: the last step of every layer, which turns int32 sums into uint8 levels.
//
//   level = min(max(round(multiplier * sum + offset + residual_multiplier * residual), low), high)
//
// in float32: one fused multiply-add for each product, rounding half to even.
#pragma once

#include <cmath>
#include <cstring>
#include <numeric>
#include <stdexcept>

#include "ops/common/buffer.hpp"
#include "ops/common/convolution.hpp"

namespace zoo_ops {

constexpr size_t kPanel = 16;  // channels that kernels work on together
constexpr float kLargestValue = 2e9F;

inline size_t panels(size_t channels) { return (channels + kPanel - 1) / kPanel; }

// The multiplier and the offset of each output channel of a layer, filled up with zeros to whole panels.
class Requantizer {
 public:
  // Throws std::invalid_argument where a sum could become a value that int32 does not hold.
  explicit Requantizer(const Layer& layer)
      : multiplier_(panels(layer.out) * kPanel),
        offset_(panels(layer.out) * kPanel),
        channels_(layer.out),
        residual_multiplier_(layer.residual_multiplier),
        low_(layer.low),
        high_(layer.high) {
    std::memcpy(multiplier_.data(), layer.multiplier, layer.out * sizeof(float));
    std::memcpy(offset_.data(), layer.offset, layer.out * sizeof(float));
    // A value beyond 2^31 would be stored as 0. Only a meaningless multiplier gives one.
    const float largest = 255.0F * 64.0F * static_cast<float>(layer.depth());
    for (size_t channel = 0; channel < channels_; ++channel)
      if (!(std::abs(multiplier_[channel]) * largest + std::abs(offset_[channel]) < kLargestValue))
        throw std::invalid_argument("a multiplier or an offset is too large");
  }

  // Changes the offsets for kernels whose sums are those of x * w, and not of (x - x_zero) * w.
  void subtract_zero_point(const Layer& layer) {
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
  float residual_multiplier() const { return residual_multiplier_; }
  uint8_t low() const { return low_; }
  uint8_t high() const { return high_; }

 private:
  Buffer<float> multiplier_, offset_;
  size_t channels_;
  float residual_multiplier_;
  uint8_t low_, high_;
};

}  // namespace zoo_ops
