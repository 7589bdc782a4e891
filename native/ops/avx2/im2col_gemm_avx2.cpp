// Any convolution as a product of matrices with AVX2: a row of the left matrix holds the levels under the window at one
// place of the output (im2col), a column of the right one the weights of one output channel. The scalar twin:
// ops/scalar/im2col_gemm_scalar.cpp.
#include <algorithm>
#include <utility>

#include "ops/avx2/intrinsics.hpp"
#include "ops/avx2/kernels_avx2.hpp"
#include "ops/avx2/packed_weights.hpp"
#include "ops/avx2/requantize_avx2.hpp"

namespace zoo_ops {
namespace {

constexpr size_t kRows = 4;                 // of a tile: 4 x 16 sums and their factors fill the registers
constexpr size_t kBlockBytes = 128 * 1024;  // of the rows that are laid out at once: a part of the L2 cache
constexpr size_t kBlockRows = 48 * kRows;
constexpr size_t kFewRows = 6 * kRows;  // in a block with fewer rows, reading the weights takes longer than using them
constexpr size_t kTasks = 8;            // blocks are a multiple of this: two, four or eight threads have equal shares

struct RowsUse {
  using Type = uint8_t;
};

// Some rows, and the panel that they are multiplied with.
struct Strip {
  const uint8_t* rows;
  size_t row_step, count;
  PackedWeights::Panel weights;
  size_t quads;
  const int8_t* fetch;  // the weights of the next panel: each tile prefetches `lines` cache lines of them
  size_t lines;
  const uint8_t* residual;
  uint8_t* out;
  size_t out_step;
};

// The sums of a row: int32, channels 0-7 and 8-15.
struct Sums {
  __m256i left = _mm256_setzero_si256(), right = _mm256_setzero_si256();

  // Adds two quads that fit into 16 bits together (packed_weights.hpp).
  void add_pair(const uint8_t* one, const uint8_t* other, const __m256i* by) {
    const __m256i x = repeat(one), y = repeat(other);
    widen(_mm256_add_epi16(_mm256_maddubs_epi16(x, by[0]), _mm256_maddubs_epi16(y, by[2])),
          _mm256_add_epi16(_mm256_maddubs_epi16(x, by[1]), _mm256_maddubs_epi16(y, by[3])));
  }
  void add(const uint8_t* quad, const __m256i* by) {
    const __m256i x = repeat(quad);
    widen(_mm256_maddubs_epi16(x, by[0]), _mm256_maddubs_epi16(x, by[1]));
  }
  void widen(__m256i a, __m256i b) {
    const __m256i ones = _mm256_set1_epi16(1);
    accumulate(left, _mm256_madd_epi16(a, ones));
    accumulate(right, _mm256_madd_epi16(b, ones));
  }
};

// At least four rows, in tiles of four. Where the last tile would have fewer, it begins earlier and computes some rows
// again. Four variables instead of an array, because compilers keep the sums of an array in memory.
template <bool add>
__attribute__((noinline)) void compute(const Strip& strip, const PanelRequantizer& panel) {
  const size_t step = strip.row_step;
  const int8_t* fetch = strip.fetch;
  for (size_t row = 0; row < strip.count; row += kRows) {
    for (size_t line = 0; line < strip.lines; ++line, fetch += kAlignment)
      _mm_prefetch(reinterpret_cast<const char*>(fetch), _MM_HINT_T1);
    const size_t first = row + kRows > strip.count ? strip.count - kRows : row;
    const uint8_t *a = strip.rows + first * step, *b = a + step, *c = b + step, *d = c + step;
    Sums sum_a, sum_b, sum_c, sum_d;
    const auto* by = reinterpret_cast<const __m256i*>(strip.weights.weights);
    const uint32_t* place = strip.weights.places;
    for (const uint32_t* end = place + 2 * strip.weights.pairs; place < end; place += 2, by += 4) {
      const size_t one = place[0], other = place[1];
      sum_a.add_pair(a + one, a + other, by);
      sum_b.add_pair(b + one, b + other, by);
      sum_c.add_pair(c + one, c + other, by);
      sum_d.add_pair(d + one, d + other, by);
    }
    for (const uint32_t* end = strip.weights.places + strip.quads; place < end; ++place, by += 2) {
      const size_t quad = *place;
      sum_a.add(a + quad, by);
      sum_b.add(b + quad, by);
      sum_c.add(c + quad, by);
      sum_d.add(d + quad, by);
    }
    const auto pixel = [&strip, first](const Sums& sums, size_t at) {
      const size_t to = (first + at) * strip.out_step;
      return PanelRequantizer::Pixel{_mm256_cvtepi32_ps(sums.left), _mm256_cvtepi32_ps(sums.right),
                          add ? strip.residual + to : nullptr, strip.out + to};
    };
    panel.store(pixel(sum_a, 0), pixel(sum_b, 1));
    panel.store(pixel(sum_c, 2), pixel(sum_d, 3));
  }
}

// Any number of rows, and a panel with all 16 channels.
void compute_whole(Strip strip, const PanelRequantizer& panel) {
  const auto run = strip.residual == nullptr ? compute<false> : compute<true>;
  if (strip.count >= kRows) return run(strip, panel);
  const size_t count = std::exchange(strip.count, kRows), step = std::exchange(strip.row_step, 0),
               out_step = std::exchange(strip.out_step, 0);
  for (size_t row = 0; row < count; ++row) {  // computes each row four times
    run(strip, panel);
    strip.rows += step;
    strip.out += out_step;
    if (strip.residual != nullptr) strip.residual += out_step;
  }
}

// The same for a panel with fewer than 16 channels: computed in memory of its own, because bytes behind the last
// channel may be neither read nor written.
void compute_part(const Strip& strip, const PanelRequantizer& panel, size_t channels) {
  alignas(kAlignment) uint8_t levels[kRows * kPanel], residual[kRows * kPanel] = {};
  Strip aside = strip;
  aside.lines = 0;
  aside.out = levels;
  aside.out_step = kPanel;
  for (size_t first = 0; first < strip.count; first += kRows, aside.rows += kRows * strip.row_step) {
    aside.count = std::min(kRows, strip.count - first);
    if (strip.residual != nullptr) {
      aside.residual = residual;
      for (size_t row = 0; row < aside.count; ++row)
        std::memcpy(residual + row * kPanel, strip.residual + (first + row) * strip.out_step, channels);
    }
    compute_whole(aside, panel);
    for (size_t row = 0; row < aside.count; ++row)
      std::memcpy(strip.out + (first + row) * strip.out_step, levels + row * kPanel, channels);
  }
}

class Im2colGemm : public Convolution {
 public:
  explicit Im2colGemm(const Layer& layer)
      : window_(layer.window), in_(layer.in), zero_(layer.x_zero), requantizer_(layer), weights_(layer) {
    plain_ = layer.depth() == in_ && in_ % kQuad == 0 && window_.stride_y == 1 && window_.stride_x == 1 &&
             window_.top + window_.bottom + window_.left + window_.right == 0;
    requantizer_.subtract_zero_point(layer);
  }

  void run(const uint8_t* in, const Shape& shape, const uint8_t* residual, uint8_t* out,
           const Parallel& parallel) const override {
    const size_t rows = shape.images * window_.rows(shape) * window_.columns(shape), tiles = (rows + kRows - 1) / kRows;
    const size_t most = std::clamp(kBlockBytes / row_bytes(), kRows, kBlockRows);
    size_t blocks = std::max((rows + most / 2) / most, size_t{1});
    if (rows >= kTasks * kFewRows) blocks = (blocks + kTasks - 1) / kTasks * kTasks;
    blocks = std::min(blocks, tiles);
    const size_t all = panels(requantizer_.channels());
    // Where there are few blocks, several tasks lay out the same rows, each for some of the panels.
    const size_t shares = blocks >= kTasks ? 1 : std::clamp(kTasks / blocks, size_t{1}, std::max(all / 4, size_t{1}));
    parallel(blocks * shares, [&](size_t task) {
      const size_t block = task / shares, share = task % shares;
      const size_t first = tiles * block / blocks * kRows;
      const size_t count = std::min(tiles * (block + 1) / blocks * kRows, rows) - first;
      const uint8_t* laid = plain_ ? in + first * in_ : lay_out(in, shape, first, count);
      for (size_t panel = all * share / shares; panel < all * (share + 1) / shares; ++panel)
        compute(laid, first, count, panel, residual, out);
    });
  }

 private:
  size_t row_bytes() const { return weights_.quads() * kQuad; }

  // One panel of `count` rows, which belong to the output's pixels from the `first` one on.
  void compute(const uint8_t* rows, size_t first, size_t count, size_t panel, const uint8_t* residual,
               uint8_t* out) const {
    const PackedWeights::Panel weights = weights_.panel(panel);
    const size_t channels = requantizer_.channels(), at = panel * kPanel, place = first * channels + at;
    const size_t lines = weights_.bytes() / kAlignment, tiles = (count + kRows - 1) / kRows;
    const Strip strip{rows, row_bytes(), count, weights, weights_.quads(), weights.weights + weights_.bytes(),
                      (lines + tiles - 1) / tiles, residual == nullptr ? nullptr : residual + place, out + place, channels};
    if (channels - at >= kPanel)
      compute_whole(strip, PanelRequantizer(requantizer_, at));
    else
      compute_part(strip, PanelRequantizer(requantizer_, at), channels - at);
  }

  // The levels under `count` windows from the `first` one on, a row for each: [count][row_bytes()].
  const uint8_t* lay_out(const uint8_t* in, const Shape& shape, size_t first, size_t count) const {
    const size_t depth = row_bytes(), columns = window_.columns(shape), rows = window_.rows(shape);
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

  // Copies whole registers, because most rows are short. This writes past the end of the row; these bytes are written
  // next.
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
  size_t in_;
  bool plain_;  // 1x1 of stride 1: a pixel is a row as it is, nothing has to be laid out
  uint8_t zero_;
  Requantizer requantizer_;
  PackedWeights weights_;
};

}  // namespace

std::unique_ptr<Convolution> make_im2col_gemm_avx2(const Layer& layer) { return std::make_unique<Im2colGemm>(layer); }

}  // namespace zoo_ops
