// Any convolution as a product of matrices: a row holds the pixels under the window at one place (im2col), a column the
// weights of one output channel. u8 times s8 in fours: with weights of 7 bits no sum of two products leaves 16 bits.
#include <algorithm>
#include <utility>

#include "finish.hpp"

namespace zoo_ops {
namespace {

constexpr size_t kRows = 6;                 // rows of a tile: 6 x 16 sums fill the registers
constexpr size_t kBlockBytes = 128 * 1024;  // rows that are laid out at once: a part of the L2 cache
constexpr size_t kBlockRows = 32 * kRows;
constexpr size_t kFewRows = 4 * kRows;  // of a block: fewer, and the weights are read more than used
constexpr size_t kTasks = 8;            // a multiple of it, so that two, four and eight threads have equal shares

struct RowsUse {
  using Type = uint8_t;
};

struct Tile {
  const uint8_t* rows;
  size_t row_step;
  const int8_t* weights;  // [quads][16][4]
  const int8_t* fetch;    // those of the next panel, as far as this tile brings them into the cache
  size_t fetch_step;      // bytes for each quad
  size_t quads;
  const Finish* finish;
  size_t at;  // the panel's first channel
  const uint8_t* residual;
  uint8_t* out;
};

template <size_t rows>
__attribute__((noinline)) void compute(const Tile& tile) {
  __m256i sums[rows][2];
#pragma GCC unroll 8
  for (size_t row = 0; row < rows; ++row) sums[row][0] = sums[row][1] = _mm256_setzero_si256();
  const __m256i ones = _mm256_set1_epi16(1);
  const auto* weights = reinterpret_cast<const __m256i*>(tile.weights);
  const uint8_t* levels = tile.rows;
  for (size_t quad = 0; quad < tile.quads; ++quad, weights += 2, levels += 4) {
    const __m256i left = _mm256_load_si256(weights), right = _mm256_load_si256(weights + 1);
    _mm_prefetch(reinterpret_cast<const char*>(tile.fetch + quad * tile.fetch_step), _MM_HINT_T1);
#pragma GCC unroll 8
    for (size_t row = 0; row < rows; ++row) {
      const __m256i x = repeat(levels + row * tile.row_step);
      sums[row][0] = _mm256_add_epi32(sums[row][0], _mm256_madd_epi16(_mm256_maddubs_epi16(x, left), ones));
      sums[row][1] = _mm256_add_epi32(sums[row][1], _mm256_madd_epi16(_mm256_maddubs_epi16(x, right), ones));
      pin(sums[row][0], sums[row][1]);
    }
  }
  const Panel panel = tile.finish->panel(tile.at);
  const size_t channels = tile.finish->channels(), count = channels - tile.at;
#pragma GCC unroll 8
  for (size_t row = 0; row < rows; ++row)
    panel.store(sums[row][0], sums[row][1], tile.residual == nullptr ? nullptr : tile.residual + row * channels,
                tile.out + row * channels, count);
}

void compute(const Tile& tile, size_t rows) {
  switch (rows) {
    case 1: return compute<1>(tile);
    case 2: return compute<2>(tile);
    case 3: return compute<3>(tile);
    case 4: return compute<4>(tile);
    case 5: return compute<5>(tile);
    default: return compute<6>(tile);
  }
}

class Direct : public Convolution {
 public:
  explicit Direct(const Layer& layer)
      : window_(layer.window), in_(layer.in), zero_(layer.x_zero), finish_(layer) {
    const size_t depth = layer.depth();
    quads_ = (depth + 3) / 4;
    plain_ = depth == in_ && in_ % 4 == 0 && window_.stride_y == 1 && window_.stride_x == 1 &&
             window_.top + window_.bottom + window_.left + window_.right == 0;
    weights_ = Buffer<int8_t>(panels(layer.out) * quads_ * 4 * kPanel);
    for (size_t channel = 0; channel < layer.out; ++channel) {
      int8_t* panel = &weights_[channel / kPanel * quads_ * 4 * kPanel + channel % kPanel * 4];
      for (size_t at = 0; at < depth; ++at) panel[at / 4 * 4 * kPanel + at % 4] = layer.weights[channel * depth + at];
    }
    finish_.subtract_zero(layer);
  }

  void run(const uint8_t* in, const Shape& shape, const uint8_t* residual, uint8_t* out,
           const Parallel& parallel) const override {
    const size_t rows = shape.images * window_.rows(shape) * window_.columns(shape);
    const size_t most = std::clamp(kBlockBytes / (quads_ * 4), kRows, kBlockRows);
    size_t blocks = std::max((rows + most / 2) / most, size_t{1});
    if (rows >= kTasks * kFewRows) blocks = (blocks + kTasks - 1) / kTasks * kTasks;
    const size_t all = panels(finish_.channels());
    // Where blocks are few, several tasks lay out the same rows, each for some of the panels.
    const size_t shares = blocks >= kTasks ? 1 : std::clamp(kTasks / blocks, size_t{1}, std::max(all / 4, size_t{1}));
    parallel(blocks * shares, [&](size_t task) {
      const size_t block = task / shares, share = task % shares;
      const size_t first = rows * block / blocks, count = rows * (block + 1) / blocks - first;
      const uint8_t* laid = plain_ ? in + first * in_ : lay_out(in, shape, first, count);
      const size_t size = quads_ * 4 * kPanel, step = 4 * kPanel / ((count + kRows - 1) / kRows);
      for (size_t panel = all * share / shares; panel < all * (share + 1) / shares; ++panel) {
        const int8_t* weights = weights_.data() + panel * size;
        for (size_t row = 0, tile = 0; row < count; row += kRows, ++tile) {
          const size_t place = (first + row) * finish_.channels() + panel * kPanel;
          compute({laid + row * quads_ * 4, quads_ * 4, weights, weights + size + tile * step * quads_, step, quads_,
                   &finish_, panel * kPanel, residual == nullptr ? nullptr : residual + place, out + place},
                  std::min(kRows, count - row));
        }
      }
    });
  }

 private:
  // The pixels under `count` windows from the `first` one on, a row for each.
  const uint8_t* lay_out(const uint8_t* in, const Shape& shape, size_t first, size_t count) const {
    const size_t depth = quads_ * 4, columns = window_.columns(shape), rows = window_.rows(shape);
    uint8_t* laid = scratch<RowsUse>(count * depth);
    const uint8_t* end = in + shape.images * shape.height * shape.width * in_;
    size_t column = first % columns, row = first / columns % rows, image = first / columns / rows;
    for (size_t at = 0; at < count; ++at) {
      lay_out_one(in + image * shape.height * shape.width * in_, end, shape, row, column, laid + at * depth);
      if (++column < columns) continue;
      column = 0;
      if (++row < rows) continue;
      row = 0;
      ++image;
    }
    return laid;
  }

  void lay_out_one(const uint8_t* image, const uint8_t* end, const Shape& shape, size_t row, size_t column,
                   uint8_t* to) const {
    const size_t top = row * window_.stride_y, left = column * window_.stride_x;
    const size_t span = window_.width * in_, line = shape.width * in_;
    if (top >= window_.top && top + window_.height <= window_.top + shape.height && left >= window_.left &&
        left + window_.width <= window_.left + shape.width) {
      const uint8_t* from = image + (top - window_.top) * line + (left - window_.left) * in_;
      for (size_t y = 0; y < window_.height; ++y, from += line, to += span) copy(to, from, span, end);
      return;
    }
    for (size_t y = 0; y < window_.height; ++y) {
      const size_t height = top + y - window_.top;  // wraps above the first
      for (size_t x = 0; x < window_.width; ++x, to += in_) {
        const size_t width = left + x - window_.left;
        if (height < shape.height && width < shape.width)
          std::memcpy(to, image + height * line + width * in_, in_);
        else
          std::memset(to, zero_, in_);
      }
    }
  }

  // Copies in whole registers, over the end of the row, which is written next: most rows are short.
  static void copy(uint8_t* to, const uint8_t* from, size_t count, const uint8_t* end) {
    constexpr size_t step = sizeof(__m256i);
    if (static_cast<size_t>(end - from) < count + step) {
      std::memcpy(to, from, count);
      return;
    }
    for (size_t at = 0; at < count; at += step)
      _mm256_storeu_si256(reinterpret_cast<__m256i*>(to + at),
                          _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from + at)));
  }

  Window window_;
  size_t in_, quads_;
  bool plain_;  // a row is a pixel as it lies
  uint8_t zero_;
  Finish finish_;
  Buffer<int8_t> weights_;  // [panel][quads][16][4]
};

}  // namespace

std::unique_ptr<Convolution> make_direct(const Layer& layer) { return std::make_unique<Direct>(layer); }

std::unique_ptr<Convolution> make_convolution(const Layer& layer) {
  if (layer.depthwise) return make_depthwise(layer);
  auto winograd = make_winograd(layer);
  return winograd != nullptr ? std::move(winograd) : make_direct(layer);
}

}  // namespace zoo_ops
