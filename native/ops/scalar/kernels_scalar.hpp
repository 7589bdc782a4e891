// The kernels for any processor; ops/kernels.hpp says what each computes.
#pragma once

#include <memory>

#include "ops/common/convolution.hpp"

namespace zoo_ops {

std::unique_ptr<Convolution> make_winograd_f43_scalar(const Layer& layer);
std::unique_ptr<Convolution> make_depthwise_scalar(const Layer& layer);
std::unique_ptr<Convolution> make_im2col_gemm_scalar(const Layer& layer);
void max_pool_scalar(const uint8_t* in, const Shape& shape, const Window& window, uint8_t* out, const Parallel& parallel);
void mean_scalar(const uint8_t* in, const Shape& shape, float multiplier, float offset, uint8_t* out,
               const Parallel& parallel);
void levels_scalar(const uint8_t* in, const Shape& shape, const uint8_t* table, uint8_t* out, const Parallel& parallel);

}  // namespace zoo_ops
