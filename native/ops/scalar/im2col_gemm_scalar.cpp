// Any convolution that is not depthwise, as its definition says. The sums are those of ops/avx2/im2col_gemm_avx2.cpp.
#include <vector>

#include "ops/scalar/kernels_scalar.hpp"
#include "ops/scalar/requantize_scalar.hpp"

namespace zoo_ops {
namespace {

// Unsigned, because a sum that leaves 32 bits wraps around, as that of a register does.
uint32_t dot(const uint8_t* levels, const int8_t* weights, size_t count) {
  uint32_t sum = 0;
  for (size_t at = 0; at < count; ++at) sum += static_cast<uint32_t>(levels[at] * weights[at]);
  return sum;
}

class Im2colGemmScalar : public Convolution {
 public:
  explicit Im2colGemmScalar(const Layer& layer)
      : window_(layer.window),
        in_(layer.in),
        requantizer_(layer),
        weights_(layer.weights, layer.weights + layer.out * layer.depth()),
        outside_(layer.in, layer.x_zero) {
    requantizer_.subtract_zero_point(layer);
  }

  void run(const uint8_t* in, const Shape& shape, const uint8_t* residual, uint8_t* out,
           const Parallel& parallel) const override {
    const size_t rows = window_.rows(shape), columns = window_.columns(shape), channels = requantizer_.channels();
    parallel(shape.images * rows, [&](size_t row) {
      const uint8_t* image = in + row / rows * shape.height * shape.width * in_;
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
    const int8_t* weights = weights_.data() + channel * window_.height * window_.width * in_;
    uint32_t sum = 0;
    for (size_t y = 0; y < window_.height; ++y) {
      const size_t line = row * window_.stride_y + y - window_.top;  // wraps above the first line
      for (size_t x = 0; x < window_.width; ++x, weights += in_) {
        const size_t at = column * window_.stride_x + x - window_.left;  // wraps before the first pixel
        const bool inside = line < shape.height && at < shape.width;
        sum += dot(inside ? image + (line * shape.width + at) * in_ : outside_.data(), weights, in_);
      }
    }
    return static_cast<int32_t>(sum);
  }

  Window window_;
  size_t in_;
  Requantizer requantizer_;
  std::vector<int8_t> weights_;   // [out][height][width][in]
  std::vector<uint8_t> outside_;  // a pixel of pads: [in]
};

}  // namespace

std::unique_ptr<Convolution> make_im2col_gemm_scalar(const Layer& layer) {
  return std::make_unique<Im2colGemmScalar>(layer);
}

}  // namespace zoo_ops
