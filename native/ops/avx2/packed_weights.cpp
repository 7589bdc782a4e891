#include "ops/avx2/packed_weights.hpp"

#include <algorithm>
#include <array>
#include <cstdlib>
#include <cstring>

#include "ops/common/requantize.hpp"

namespace zoo_ops {
namespace {

constexpr size_t kBytes = kQuad * kPanel;
constexpr int kHeaviest = 128;      // the most that weights of one sign may add up to in 16 bits: 255 * 128 < 2^15
constexpr size_t kCandidates = 32;  // quads that are tried as a partner: mostly one of the first fits

// What the positive and the negative weights of a quad add up to, for each of its sums of 16 bits.
class Reach {
 public:
  explicit Reach(const int8_t* quad) {
    for (size_t at = 0; at < kBytes; ++at) {
      int16_t& sum = sums_[at / 2 * 2 + (quad[at] < 0 ? 1 : 0)];
      sum = static_cast<int16_t>(sum + std::abs(quad[at]));
    }
  }

  // Whether the two quads may form a pair.
  bool fits(const Reach& other) const {
    int most = 0;
    for (size_t at = 0; at < sums_.size(); ++at) most = std::max(most, sums_[at] + other.sums_[at]);
    return most <= kHeaviest;
  }

 private:
  std::array<int16_t, kBytes> sums_{};
};

struct Order {
  std::vector<size_t> quads;
  size_t pairs;
};

// Pairs first. Each consists of the first quad that is left and the first other one that fits.
Order pair_up(const int8_t* panel, size_t quads) {
  std::vector<Reach> reach;
  std::vector<size_t> left, paired, alone;
  for (size_t quad = 0; quad < quads; ++quad) {
    reach.emplace_back(panel + quad * kBytes);
    left.push_back(quads - 1 - quad);  // in reverse order, because quads are taken from the end
  }
  while (!left.empty()) {
    const size_t quad = left.back();
    left.pop_back();
    const auto last = left.rbegin() + static_cast<ptrdiff_t>(std::min(left.size(), kCandidates));
    const auto partner = std::find_if(left.rbegin(), last, [&](size_t at) { return reach[quad].fits(reach[at]); });
    if (partner == last) {
      alone.push_back(quad);
    } else {
      paired.insert(paired.end(), {quad, *partner});
      left.erase(std::next(partner).base());
    }
  }
  const size_t pairs = paired.size() / 2;
  paired.insert(paired.end(), alone.begin(), alone.end());
  return {paired, pairs};
}

}  // namespace

size_t PackedWeights::bytes() const { return quads_ * kBytes; }

PackedWeights::PackedWeights(const Layer& layer)
    : quads_((layer.depth() + kQuad - 1) / kQuad), weights_(panels(layer.out) * bytes()) {
  const size_t depth = layer.depth();
  std::vector<int8_t> plain(bytes());
  for (size_t first = 0; first < layer.out; first += kPanel) {
    std::fill(plain.begin(), plain.end(), int8_t{0});
    for (size_t channel = 0; channel < std::min(kPanel, layer.out - first); ++channel) {
      const int8_t* from = layer.weights + (first + channel) * depth;
      for (size_t at = 0; at < depth; ++at) plain[at / kQuad * kBytes + channel * kQuad + at % kQuad] = from[at];
    }
    const Order order = pair_up(plain.data(), quads_);
    int8_t* to = weights_.data() + first / kPanel * bytes();
    for (const size_t quad : order.quads) {
      places_.push_back(static_cast<uint32_t>(quad * kQuad));
      std::memcpy(to, plain.data() + quad * kBytes, kBytes);
      to += kBytes;
    }
    pairs_.push_back(order.pairs);
  }
}

}  // namespace zoo_ops
