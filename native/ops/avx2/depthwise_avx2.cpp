// Depthwise convolution (a filter for each channel) with AVX2, 32 channels at a time. A tap is one of the pixels under
// the window. The bytes of two taps are interleaved and multiplied with both weights, which gives sums of 16 bits; two
// of these are interleaved and added up to 32 bits. Interleaving changes the order of the channels in a register, and
// packing the levels at the end restores it. The scalar twin: ops/scalar/depthwise_scalar.cpp.
#include <algorithm>
#include <vector>

#include <immintrin.h>

#include "ops/avx2/kernels_avx2.hpp"
#include "ops/common/requantize.hpp"

namespace zoo_ops {
namespace {

constexpr size_t kWide = 2 * kPanel;
constexpr size_t kSums = 4;      // registers for the sums of 32 channels
constexpr size_t kPairs3x3 = 5;  // pairs of taps of a 3x3 window: a constant, so that the compiler unrolls the loop

// Windows that lie side by side.
struct Run {
  const uint8_t** taps;  // the pixels under the first window, an even number; `step` bytes from one window to the next
  size_t count;
};

struct OutsideUse {
  using Type = uint8_t;
};
struct LinesUse {
  using Type = const uint8_t*;
};
struct TapsUse {
  using Type = const uint8_t*;
};
struct RunsUse {
  using Type = Run;
};

// A row of the output.
struct Row {
  const Run* runs;
  size_t count, step, channels;
  const uint8_t* residual;
  uint8_t* out;
};

// 32 or 16 channels; 16 lie in the lower half of the register.
template <size_t width>
__m256i load(const uint8_t* from) {
  if constexpr (width == kWide) return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from));
  return _mm256_zextsi128_si256(_mm_loadu_si128(reinterpret_cast<const __m128i*>(from)));
}

template <size_t width>
void store(uint8_t* to, __m256i levels) {
  if constexpr (width == kWide)
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), levels);
  else
    _mm_storeu_si128(reinterpret_cast<__m128i*>(to), _mm256_castsi256_si128(levels));
}

// Sums of 16 bits over two taps. low: channels 0-7 and 16-23, high: the others.
struct Pair {
  __m256i low = _mm256_setzero_si256(), high = _mm256_setzero_si256();

  Pair() = default;
  Pair(__m256i one, __m256i other, const __m256i* weights)
      : low(_mm256_maddubs_epi16(_mm256_unpacklo_epi8(one, other), weights[0])),
        high(_mm256_maddubs_epi16(_mm256_unpackhi_epi8(one, other), weights[1])) {}
};

// Sums of 32 bits: channels 0-3 and 16-19, 4-7 and 20-23, and so on.
struct Sums {
  __m256i at[kSums] = {};

  void add(const Pair& one, const Pair& other) {
    add(at[0], _mm256_unpacklo_epi16(one.low, other.low));
    add(at[1], _mm256_unpackhi_epi16(one.low, other.low));
    add(at[2], _mm256_unpacklo_epi16(one.high, other.high));
    add(at[3], _mm256_unpackhi_epi16(one.high, other.high));
  }
  static void add(__m256i& sum, __m256i pairs) {
    sum = _mm256_add_epi32(sum, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
  }
};

// The filters of 32 channels, and what requantises their sums. The scalar twin of `levels`: requantize_scalar.hpp.
struct Panel32 {
  size_t start;            // the first channel
  const __m256i* weights;  // [pairs][2][32]: both taps of channels 0-7 and 16-23, then of the others
  __m256 by[kSums], plus[kSums], residual_by;
  __m256i low, high;

  // Requantises the sums.
  __m256i levels(const Sums& sums) const {
    return packed(real(sums, 0), real(sums, 1), real(sums, 2), real(sums, 3));
  }
  __m256i levels(const Sums& sums, __m256i residual) const {
    const __m256i zero = _mm256_setzero_si256();
    const __m256i one = _mm256_unpacklo_epi8(residual, zero), other = _mm256_unpackhi_epi8(residual, zero);
    const auto added = [&](size_t at, __m256i levels) {
      return _mm256_fmadd_ps(_mm256_cvtepi32_ps(levels), residual_by, real(sums, at));
    };
    return packed(added(0, _mm256_unpacklo_epi16(one, zero)), added(1, _mm256_unpackhi_epi16(one, zero)),
                  added(2, _mm256_unpacklo_epi16(other, zero)), added(3, _mm256_unpackhi_epi16(other, zero)));
  }

 private:
  __m256 real(const Sums& sums, size_t at) const {
    return _mm256_fmadd_ps(_mm256_cvtepi32_ps(sums.at[at]), by[at], plus[at]);
  }
  __m256i packed(__m256 a, __m256 b, __m256 c, __m256 d) const {
    const __m256i one = _mm256_packs_epi32(_mm256_cvtps_epi32(a), _mm256_cvtps_epi32(b));
    const __m256i other = _mm256_packs_epi32(_mm256_cvtps_epi32(c), _mm256_cvtps_epi32(d));
    return _mm256_min_epu8(_mm256_max_epu8(_mm256_packus_epi16(one, other), low), high);
  }
};

// A row of the output in one panel. `fixed`: the number of pairs of taps where the compiler knows it, or 0.
template <size_t width, size_t fixed>
__attribute__((noinline)) void compute(const Row& row, const Panel32& panel, size_t pairs) {
  if (fixed != 0) pairs = fixed;
  const uint8_t* residual = row.residual == nullptr ? nullptr : row.residual + panel.start;
  uint8_t* out = row.out + panel.start;
  for (const Run* run = row.runs; run < row.runs + row.count; ++run) {
    const size_t end = panel.start + run->count * row.step;
    for (size_t at = panel.start; at < end; at += row.step, out += row.channels) {
      const auto pair = [&](size_t number) {
        const uint8_t* const* taps = run->taps + 2 * number;
        return Pair(load<width>(taps[0] + at), load<width>(taps[1] + at), panel.weights + 2 * number);
      };
      Sums sums;
      size_t number = 0;
#pragma GCC unroll 4
      for (; number + 1 < pairs; number += 2) sums.add(pair(number), pair(number + 1));
      if (number < pairs) sums.add(pair(number), Pair());
      if (residual == nullptr) {
        store<width>(out, panel.levels(sums));
      } else {
        store<width>(out, panel.levels(sums, load<width>(residual)));
        residual += row.channels;
      }
    }
  }
}

class Depthwise : public Convolution {
 public:
  explicit Depthwise(const Layer& layer)
      : window_(layer.window),
        channels_(layer.in),
        pairs_((layer.depth() + 1) / 2),
        pixel_(std::max(channels_, kPanel)),
        zero_(layer.x_zero),
        width_(channels_ >= kWide ? kWide : kPanel),
        compute_(choose()) {
    Requantizer requantizer(layer);
    requantizer.subtract_zero_point(layer);
    const size_t many = (channels_ + width_ - 1) / width_, size = pairs_ * 2 * kWide;
    weights_ = Buffer<int8_t>(many * size);
    for (size_t at = 0; at < many; ++at) {
      // Where the last panel would have fewer channels, it begins earlier and computes some channels again.
      const size_t start = std::min(at * width_, std::max(channels_, width_) - width_);
      int8_t* weights = weights_.data() + at * size;
      panels_.push_back(make_panel(layer, requantizer, start, weights));
    }
  }

  void run(const uint8_t* in, const Shape& shape, const uint8_t* residual, uint8_t* out,
           const Parallel& parallel) const override {
    const size_t rows = window_.rows(shape);
    parallel(shape.images * rows, [&](size_t task) {
      const size_t place = task * window_.columns(shape) * channels_;
      const uint8_t* image = in + task / rows * shape.height * shape.width * channels_;
      row(image, shape, task % rows, residual == nullptr ? nullptr : residual + place, out + place);
    });
  }

 private:
  using Compute = void (*)(const Row& row, const Panel32& panel, size_t pairs);

  Compute choose() const {
    const bool small = pairs_ == kPairs3x3;
    if (width_ == kWide) return small ? compute<kWide, kPairs3x3> : compute<kWide, 0>;
    return small ? compute<kPanel, kPairs3x3> : compute<kPanel, 0>;
  }

  Panel32 make_panel(const Layer& layer, const Requantizer& requantizer, size_t start, int8_t* weights) const {
    const size_t count = std::min(width_, channels_), taps = layer.depth();
    alignas(kAlignment) float by[kWide] = {}, plus[kWide] = {};
    for (size_t channel = 0; channel < count; ++channel) {
      int8_t* first = weights + channel / 8 % 2 * kWide + channel / kPanel * kPanel + channel % 8 * 2;
      for (size_t tap = 0; tap < taps; ++tap)
        first[tap / 2 * 2 * kWide + tap % 2] = layer.weights[(start + channel) * taps + tap];
      const size_t place = channel / 4 % kSums * 8 + channel / kPanel * 4 + channel % 4;
      by[place] = requantizer.multiplier()[start + channel];
      plus[place] = requantizer.offset()[start + channel];
    }
    Panel32 panel;
    panel.start = start;
    panel.weights = reinterpret_cast<const __m256i*>(weights);
    for (size_t at = 0; at < kSums; ++at) {
      panel.by[at] = _mm256_load_ps(by + 8 * at);
      panel.plus[at] = _mm256_load_ps(plus + 8 * at);
    }
    panel.residual_by = _mm256_set1_ps(layer.residual_multiplier);
    panel.low = _mm256_set1_epi8(static_cast<char>(layer.low));
    panel.high = _mm256_set1_epi8(static_cast<char>(layer.high));
    return panel;
  }

  // A row of the output. A layer with fewer channels than a register has is computed in memory of its own, with space
  // between the pixels, because bytes behind a row may be neither read nor written.
  void row(const uint8_t* image, const Shape& shape, size_t row, const uint8_t* residual, uint8_t* out) const {
    const size_t columns = window_.columns(shape), width = shape.width, height = window_.height, line = width * pixel_;
    const bool narrow = channels_ < pixel_;
    uint8_t* outside = scratch<OutsideUse>(line + (narrow ? height * line + 2 * columns * pixel_ : 0));
    uint8_t* apart = outside + line;
    const uint8_t** lines = scratch<LinesUse>(height);
    size_t missing = pixel_;  // bytes of pixels outside of the picture: one pixel at an edge, or a whole line
    for (size_t y = 0; y < height; ++y) {
      const size_t at = row * window_.stride_y + y - window_.top;  // wraps above the first
      if (at >= shape.height) missing = line;
      lines[y] = at < shape.height ? image + at * width * channels_ : outside;
      if (narrow && at < shape.height) lines[y] = spread(lines[y], width, apart + y * line);
    }
    std::memset(outside, zero_, missing);
    if (!narrow) return compute_row(lines, outside, width, columns, residual, out);
    uint8_t* levels = apart + height * line;
    const uint8_t* added = residual == nullptr ? nullptr : spread(residual, columns, levels + columns * pixel_);
    compute_row(lines, outside, width, columns, added, levels);
    for (size_t at = 0; at < columns; ++at) std::memcpy(out + at * channels_, levels + at * pixel_, channels_);
  }

  // Copies pixels, which lie without gaps, to places `pixel_` bytes apart.
  const uint8_t* spread(const uint8_t* from, size_t pixels, uint8_t* to) const {
    for (size_t at = 0; at < pixels; ++at) std::memcpy(to + at * pixel_, from + at * channels_, channels_);
    return to;
  }

  // `lines`: the lines under the window; `outside`: a pixel of zero points. A window over the left or right edge is a
  // run of its own; so is every window where the picture is narrower than the window.
  void compute_row(const uint8_t** lines, const uint8_t* outside, size_t width, size_t columns, const uint8_t* residual,
                   uint8_t* out) const {
    const size_t many = 2 * pairs_, step = window_.stride_x;
    const size_t first = std::min((window_.left + step - 1) / step, columns);
    const size_t fit = width + window_.left < window_.width ? 0 : (width + window_.left - window_.width) / step + 1;
    const size_t inside = std::min(fit, columns) > first ? std::min(fit, columns) - first : 0;
    const uint8_t** taps = scratch<TapsUse>(columns * many);
    Run* runs = scratch<RunsUse>(columns);
    size_t count = 0;
    for (size_t column = 0; column < columns; column += runs[count++].count, taps += many) {
      runs[count] = {taps, column == first && inside > 0 ? inside : 1};
      find(lines, outside, width, column, taps);
    }
    const Row row{runs, count, step * pixel_, pixel_, residual, out};
    for (const Panel32& panel : panels_) compute_(row, panel, pairs_);
  }

  // The pixels under the window at a column. Where their number is odd, one more tap is added, whose weight is 0.
  void find(const uint8_t** lines, const uint8_t* outside, size_t width, size_t column, const uint8_t** taps) const {
    for (size_t y = 0; y < window_.height; ++y)
      for (size_t x = 0; x < window_.width; ++x) {
        const size_t at = column * window_.stride_x + x - window_.left;  // wraps before the first
        *taps++ = at < width ? lines[y] + at * pixel_ : outside;
      }
    if (window_.height * window_.width % 2 != 0) *taps = taps[-1];
  }

  Window window_;
  size_t channels_, pairs_;
  size_t pixel_;  // bytes from one pixel to the next in the memory that is computed on
  uint8_t zero_;
  size_t width_;  // channels of a panel: 32, or 16 where there are fewer than 32
  Compute compute_;
  std::vector<Panel32> panels_;
  Buffer<int8_t> weights_;
};

}  // namespace

std::unique_ptr<Convolution> make_depthwise_avx2(const Layer& layer) { return std::make_unique<Depthwise>(layer); }

}  // namespace zoo_ops
