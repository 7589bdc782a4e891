// The weights of im2col_gemm_avx2, in the order in which that kernel reads them.
//
// A panel is 16 output channels. A quad is four neighbouring weights of each channel of a panel; a sum is computed a
// quad at a time. The sum of two products of a level and a weight of 7 bits fits into 16 bits. The sum of four fits as
// well, unless the weights are large and of the same sign. Where they fit, two quads form a pair: their products are
// added up in 16 bits and then widened to 32 bits once instead of twice, which saves a quarter of the multiplications.
// Which quads form pairs is decided here, when a layer is made.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "ops/common/buffer.hpp"
#include "ops/common/convolution.hpp"

namespace zoo_ops {

constexpr size_t kQuad = 4;

class PackedWeights {
 public:
  struct Panel {
    const int8_t* weights;   // int8 [quads][16][4], in the order of `places`
    const uint32_t* places;  // [quads]: where the levels of a quad begin in a row of the left matrix
    size_t pairs;            // the first 2 * pairs quads are pairs; the others are added one by one
  };

  explicit PackedWeights(const Layer& layer);

  size_t quads() const { return quads_; }
  size_t bytes() const;  // of a panel
  Panel panel(size_t at) const { return {weights_.data() + at * bytes(), places_.data() + at * quads_, pairs_[at]}; }

 private:
  size_t quads_;
  Buffer<int8_t> weights_;
  std::vector<uint32_t> places_;
  std::vector<size_t> pairs_;
};

}  // namespace zoo_ops
