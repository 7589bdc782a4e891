// The weights of a product of matrices. 16 output channels are a panel; four numbers of each of their sums are a quad.
//
// The sum of two products of a level and a weight of 7 bits fits into 16 bits. A sum of four does too, unless these weights
// are large and of one sign: then two quads are added up in 16 bits before they are in 32, which saves a quarter of the
// multiplications. Which quads of a panel go together like this is found here, once.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "ops/buffer.hpp"
#include "ops/convolution.hpp"

namespace zoo_ops {

constexpr size_t kQuad = 4;

class PackedWeights {
 public:
  struct Panel {
    const int8_t* weights;   // [quads][16][4], in the order of `places`
    const uint32_t* places;  // [quads]: where a quad's levels begin in a row
    size_t pairs;            // that come first; each other quad stands alone
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
