// A filter for each channel, as the definition says. The sums are those of ops/avx2/depthwise_avx2.cpp.
#include <vector>

#include "ops/scalar/kernels_scalar.hpp"
#include "ops/scalar/requantize_scalar.hpp"

namespace zoo_ops {
namespace {

class DepthwiseScalar : public Convolution {
 public:
  explicit DepthwiseScalar(const Layer& layer)
      : window_(layer.window),
        zero_(layer.x_zero),
        requantizer_(layer),
        weights_(layer.weights, layer.weights + layer.out * layer.depth()) {
    requantizer_.subtract_zero_point(layer);
  }

  void run(const uint8_t* in, const Shape& shape, const uint8_t* residual, uint8_t* out,
           const Parallel& parallel) const override {
    const size_t rows = window_.rows(shape), columns = window_.columns(shape), channels = requantizer_.channels();
    parallel(shape.images * rows, [&](size_t row) {
      const uint8_t* image = in + row / rows * shape.height * shape.width * channels;
      for (size_t column = 0; column < columns; ++column) {
        const size_t first = (row * columns + column) * channels;
        for (size_t channel = 0; channel < channels; ++channel) {
          const int32_t sum = sum_at(image, shape, row % rows, column, channel);
          out[first + channel] = requantize(requantizer_, channel, static_cast<float>(sum),
                                            residual == nullptr ? nullptr : residual + first + channel);
        }
      }
    });
  }

 private:
  // The sum of x * w under the window at a place of the output.
  int32_t sum_at(const uint8_t* image, const Shape& shape, size_t row, size_t column, size_t channel) const {
    const int8_t* weight = weights_.data() + channel * window_.height * window_.width;
    int32_t sum = 0;
    for (size_t y = 0; y < window_.height; ++y) {
      const size_t line = row * window_.stride_y + y - window_.top;  // wraps above the first line
      for (size_t x = 0; x < window_.width; ++x, ++weight) {
        const size_t at = column * window_.stride_x + x - window_.left;  // wraps before the first pixel
        const bool inside = line < shape.height && at < shape.width;
        sum += (inside ? image[(line * shape.width + at) * shape.channels + channel] : zero_) * *weight;
      }
    }
    return sum;
  }

  Window window_;
  uint8_t zero_;
  Requantizer requantizer_;
  std::vector<int8_t> weights_;  // [channels][height][width]
};

}  // namespace

std::unique_ptr<Convolution> make_depthwise_scalar(const Layer& layer) {
  return std::make_unique<DepthwiseScalar>(layer);
}

}  // namespace zoo_ops
