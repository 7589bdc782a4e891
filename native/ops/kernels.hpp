// The kernels, once for each instruction set. Those of all sets give the same bits; the scalar ones are the reference.
#pragma once

#include <memory>
#include <vector>

#include "ops/common/convolution.hpp"

namespace zoo_ops {

struct Kernels {
  using MakeConvolution = std::unique_ptr<Convolution> (*)(const Layer& layer);

  const char* name;  // "scalar" or "avx2"

  // Each throws std::invalid_argument where Requantizer refuses the layer.
  MakeConvolution make_winograd_f43;  // null for a layer that winograd_f43::fits() refuses
  MakeConvolution make_depthwise;     // depthwise layers only
  MakeConvolution make_im2col_gemm;   // all others

  // The largest level under each window, for each channel; pixels outside of the picture do not count.
  void (*max_pool)(const uint8_t* in, const Shape& shape, const Window& window, uint8_t* out, const Parallel& parallel);

  // min(max(round(multiplier * sum over all pixels + offset), 0), 255): levels [images][channels].
  void (*mean)(const uint8_t* in, const Shape& shape, float multiplier, float offset, uint8_t* out,
               const Parallel& parallel);

  // table[channel][level] for each level; `table`: uint8 [channels][256].
  void (*levels)(const uint8_t* in, const Shape& shape, const uint8_t* table, uint8_t* out, const Parallel& parallel);

  // The fastest of the three convolutions that computes this layer.
  std::unique_ptr<Convolution> make_convolution(const Layer& layer) const;
};

// Those that this processor can run, the fastest last. ZOO_CPU=plain in the environment leaves the scalar ones.
const std::vector<const Kernels*>& usable_kernels();

inline const Kernels& kernels() { return *usable_kernels().back(); }

}  // namespace zoo_ops
