// 3x3 convolutions of stride 1 by Winograd's F(4x4, 3x3) (ops/common/winograd_f43.hpp) with AVX2. The scalar twin:
// ops/scalar/winograd_f43_scalar.cpp.
//
// Filters are kept as they are, 9 bytes for each pair of channels, and expanded to 36 int16 numbers each time that they
// are used: that takes less time than reading 36 numbers from memory, where the weights of a whole network lie.
#include <algorithm>

#include "ops/avx2/intrinsics.hpp"
#include "ops/avx2/kernels_avx2.hpp"
#include "ops/avx2/requantize_avx2.hpp"
#include "ops/avx2/winograd_f43_tile_avx2.hpp"

namespace zoo_ops {
namespace {

using namespace winograd_f43;

constexpr size_t kRows = 6;              // tiles that are multiplied together: 6 x 16 sums fill the registers
constexpr size_t kManyTiles = 144;       // a layer with at least this many tiles and
constexpr size_t kFewChannels = 128;     // at most this many channels is divided into blocks, one thread for each;
constexpr size_t kCached = 108 * 1024;   // the transformed tiles of a block, in int16 numbers, fit into the L2 cache
constexpr size_t kSharedTiles = 96;      // in other layers all threads work on the same tiles, this many at a time;
constexpr size_t kTasks = 8;             // reading them is divided into this many tasks
constexpr size_t kPairedChannels = 256;  // up to this many channels, the filters of two panels fit into the cache
constexpr size_t kApart = 32;            // numbers: a cache line of int16, or two of int32

struct TilesUse {
  using Type = int16_t;
};
struct FiltersUse {
  using Type = int16_t;
};
struct SumsUse {
  using Type = int32_t;
};

// sums[row][16] = tiles[row][channels] . weights[channels / 2][16][2]: int32 of int16.
template <size_t rows>
__attribute__((noinline)) void multiply(const int16_t* tiles, size_t channels, const int16_t* weights, int32_t* sums) {
  __m256i found[rows][2];
#pragma GCC unroll 8
  for (size_t row = 0; row < rows; ++row) found[row][0] = found[row][1] = _mm256_setzero_si256();
  const auto* by = reinterpret_cast<const __m256i*>(weights);
  for (size_t channel = 0; channel < channels; channel += 2, by += 2) {
    const __m256i left = _mm256_load_si256(by), right = _mm256_load_si256(by + 1);
#pragma GCC unroll 8
    for (size_t row = 0; row < rows; ++row) {
      const __m256i x = repeat(tiles + row * channels + channel);
      accumulate(found[row][0], _mm256_madd_epi16(x, left));
      accumulate(found[row][1], _mm256_madd_epi16(x, right));
    }
  }
  auto* out = reinterpret_cast<__m256i*>(sums);
#pragma GCC unroll 8
  for (size_t row = 0; row < rows; ++row) {
    _mm256_store_si256(out + 2 * row, found[row][0]);
    _mm256_store_si256(out + 2 * row + 1, found[row][1]);
  }
}

void multiply(const int16_t* tiles, size_t count, size_t channels, const int16_t* weights, int32_t* sums) {
  for (; count >= kRows; count -= kRows, tiles += kRows * channels, sums += kRows * kPanel)
    multiply<kRows>(tiles, channels, weights, sums);
  switch (count) {
    case 1: return multiply<1>(tiles, channels, weights, sums);
    case 2: return multiply<2>(tiles, channels, weights, sums);
    case 3: return multiply<3>(tiles, channels, weights, sums);
    case 4: return multiply<4>(tiles, channels, weights, sums);
    case 5: return multiply<5>(tiles, channels, weights, sums);
    default: return;
  }
}

class Winograd : public Convolution {
 public:
  explicit Winograd(const Layer& layer)
      : in_(layer.in),
        zero_(layer.x_zero),
        requantizer_(layer),
        weights_(panels(layer.out) * layer.in * kTaps * kPanel) {
    for (size_t channel = 0; channel < layer.out; ++channel) {
      const int8_t* filters = layer.weights + channel * kTaps * in_;
      int8_t* panel = weights_.data() + channel / kPanel * in_ * kTaps * kPanel + channel % 8 * 2;
      for (size_t from = 0; from < in_; ++from)
        for (size_t tap = 0; tap < kTaps; ++tap)
          panel[((from / 2 * 2 + channel / 8 % 2) * kTaps + tap) * kPanel + from % 2] = filters[tap * in_ + from];
    }
  }

  void run(const uint8_t* in, const Shape& shape, const uint8_t* residual, uint8_t* out,
           const Parallel& parallel) const override {
    const Grid grid(shape);
    const size_t tiles = grid.tiles();
    if (in_ <= kFewChannels && tiles >= kManyTiles) {
      const size_t cached = kCached / kPositions / in_, blocks = std::max((tiles / cached + 2) / 4, size_t{1}) * 4;
      parallel(blocks, [&](size_t block) {
        const size_t first = tiles * block / blocks;
        run_block(in, grid, first, tiles * (block + 1) / blocks - first, residual, out);
      });
    } else {
      const size_t rounds = (tiles + kSharedTiles - 1) / kSharedTiles;
      for (size_t round = 0; round < rounds; ++round) {
        const size_t first = tiles * round / rounds;
        run_shared(in, grid, first, tiles * (round + 1) / rounds - first, residual, out, parallel);
      }
    }
  }

 private:
  // The distance from one position to the next, in numbers. It is no power of two, at which all positions would compete
  // for the same lines of the cache.
  static size_t apart(size_t numbers) { return numbers + kApart; }
  size_t filter_step() const { return apart(in_ * kPanel); }
  size_t tile_step(size_t count) const { return apart(count * in_); }
  static size_t sum_step(size_t count) { return apart(count * kPanel); }

  // G w G' of a panel at two rows of positions: int16 [12][in / 2][16][2]. Eight output and two input channels at a
  // time.
  template <size_t rows>
  __attribute__((noinline)) void expand(size_t panel, int16_t* out) const {
    const int8_t* weights = weights_.data() + panel * in_ * kTaps * kPanel;
    const size_t step = filter_step();
    for (const int8_t* end = weights + in_ * kTaps * kPanel; weights < end; weights += kTaps * kPanel, out += kPanel) {
      __m256i halves[3][2];  // three columns of the two rows
#pragma GCC unroll 3
      for (size_t x = 0; x < 3; ++x)
        Tile::filter<rows>(load(weights + x * kPanel), load(weights + (3 + x) * kPanel), load(weights + (6 + x) * kPanel),
                           halves[x]);
#pragma GCC unroll 2
      for (size_t row = 0; row < 2; ++row) {
        const __m256i a = halves[0][row], b = halves[1][row], c = halves[2][row];
        __m256i whole[kSide];
        whole[0] = a;
        whole[5] = c;
        Tile::filter<1>(a, b, c, whole + 1);
        Tile::filter<2>(a, b, c, whole + 3);
#pragma GCC unroll 6
        for (size_t x = 0; x < kSide; ++x)
          _mm256_store_si256(reinterpret_cast<__m256i*>(out + (row * kSide + x) * step), whole[x]);
      }
    }
  }

  static __m256i load(const int8_t* weights) {
    return _mm256_cvtepi8_epi16(_mm_load_si128(reinterpret_cast<const __m128i*>(weights)));
  }

  // Multiplies `count` tiles with the panels from `start` to before `end` at two rows of positions. `sums`: int32
  // [panels][36][count][16]. Panels that share a position read the same tiles while these are in the cache.
  template <size_t rows>
  void products(const int16_t* transformed, size_t count, size_t start, size_t end, int32_t* sums) const {
    const size_t size = 2 * kSide * filter_step();
    int16_t* expanded = scratch<FiltersUse>((end - start) * size);
    for (size_t panel = start; panel < end; ++panel) expand<rows>(panel, expanded + (panel - start) * size);
    for (size_t at = 0; at < 2 * kSide; ++at) {
      const size_t position = Tile::kRows[rows][at / kSide] * kSide + at % kSide;
      for (size_t panel = 0; panel < end - start; ++panel)
        multiply(transformed + position * tile_step(count), count, in_, expanded + panel * size + at * filter_step(),
                 sums + (panel * kPositions + position) * sum_step(count));
      prefetch(end, rows * 2 * kSide + at);
    }
  }

  // Prefetches one of 36 parts of the next panel's weights: reading them from memory takes as long as all products of a
  // panel.
  void prefetch(size_t panel, size_t part) const {
    const size_t size = in_ * kTaps * kPanel / kPositions;
    const int8_t* from = weights_.data() + panel * kPositions * size + part * size;
    for (size_t at = 0; at < size; at += kAlignment)
      _mm_prefetch(reinterpret_cast<const char*>(from + at), _MM_HINT_T1);
  }

  // The tiles from `first` on with some panels, from transformed pixels to levels.
  void compute(const int16_t* transformed, const Grid& grid, size_t first, size_t count, size_t start, size_t end,
              const uint8_t* residual, uint8_t* out) const {
    const size_t size = kPositions * sum_step(count);
    int32_t* sums = scratch<SumsUse>((end - start) * size);
    products<0>(transformed, count, start, end, sums);
    products<1>(transformed, count, start, end, sums);
    products<2>(transformed, count, start, end, sums);
    for (size_t panel = start; panel < end; ++panel)
      for (size_t tile = 0; tile < count; ++tile)
        write(sums + (panel - start) * size + tile * kPanel, sum_step(count), grid, first + tile, panel, residual, out);
  }

  // A block of tiles from pixels to levels, by one thread.
  void run_block(const uint8_t* in, const Grid& grid, size_t first, size_t count, const uint8_t* residual,
             uint8_t* out) const {
    int16_t* transformed = scratch<TilesUse>(kPositions * tile_step(count));
    for (size_t tile = 0; tile < count; ++tile)
      transform(in, grid, first + tile, transformed + tile * in_, tile_step(count));
    for (size_t panel = 0; panel < panels(requantizer_.channels()); ++panel)
      compute(transformed, grid, first, count, panel, panel + 1, residual, out);
  }

  // All threads read the same tiles, then each computes some of the panels.
  void run_shared(const uint8_t* in, const Grid& grid, size_t first, size_t count, const uint8_t* residual, uint8_t* out,
                const Parallel& parallel) const {
    int16_t* transformed = scratch<TilesUse>(kPositions * tile_step(count));
    const size_t slices = std::min(count, kTasks);
    parallel(slices, [&](size_t slice) {
      for (size_t tile = count * slice / slices; tile < count * (slice + 1) / slices; ++tile)
        transform(in, grid, first + tile, transformed + tile * in_, tile_step(count));
    });
    const size_t all = panels(requantizer_.channels()), group = in_ <= kPairedChannels ? 2 : 1;
    const size_t tasks = (all + group - 1) / group, half = (tasks + 1) / 2;
    parallel(tasks, [&](size_t task) {
      // Panels that lie side by side share cache lines: tasks that run at the same time take distant panels.
      const size_t start = (task / 2 + task % 2 * half) * group;
      compute(transformed, grid, first, count, start, std::min(start + group, all), residual, out);
    });
  }

  // B' x B of one tile, int16: position p goes to out[p * step].
  void transform(const uint8_t* in, const Grid& grid, size_t tile, int16_t* out, size_t step) const {
    const Shape& shape = grid.shape;
    const size_t image = tile / (grid.across * grid.down);
    const auto top = static_cast<ptrdiff_t>(tile / grid.across % grid.down * kStep) - 1;
    const auto left = static_cast<ptrdiff_t>(tile % grid.across * kStep) - 1;
    const auto height = static_cast<ptrdiff_t>(shape.height), width = static_cast<ptrdiff_t>(shape.width);
    const uint8_t* pixels[kSide][kSide];  // null: outside
    for (ptrdiff_t y = 0; y < static_cast<ptrdiff_t>(kSide); ++y)
      for (ptrdiff_t x = 0; x < static_cast<ptrdiff_t>(kSide); ++x) {
        const bool inside = top + y >= 0 && top + y < height && left + x >= 0 && left + x < width;
        pixels[x][y] = inside ? in + ((static_cast<ptrdiff_t>(image) * height + top + y) * width + left + x) *
                                         static_cast<ptrdiff_t>(in_)
                              : nullptr;
      }
    const __m256i zero = _mm256_set1_epi16(zero_);
    for (size_t channel = 0; channel < in_; channel += kPanel) {
      __m256i half[kPositions], whole[kSide];
      for (size_t x = 0; x < kSide; ++x) {
        __m256i column[kSide];
        for (size_t y = 0; y < kSide; ++y) {
          const uint8_t* from = pixels[x][y];
          column[y] = from == nullptr ? _mm256_setzero_si256()
                                      : _mm256_sub_epi16(_mm256_cvtepu8_epi16(_mm_loadu_si128(
                                                             reinterpret_cast<const __m128i*>(from + channel))),
                                                         zero);
        }
        Tile::input(column, half + x, kSide);
      }
      for (size_t y = 0; y < kSide; ++y) {
        Tile::input(half + y * kSide, whole, 1);
        for (size_t x = 0; x < kSide; ++x)
          _mm256_storeu_si256(reinterpret_cast<__m256i*>(out + (y * kSide + x) * step + channel), whole[x]);
      }
    }
  }

  // Where the pixels of a tile go, and what is added to them.
  struct Target {
    const uint8_t* residual;
    uint8_t* out;
    size_t line, pixel;    // bytes from one line, or one pixel, to the next
    size_t rows, columns;  // of the tile that lie inside of the picture
  };

  // A' m A of one tile and panel, requantised.
  void write(const int32_t* sums, size_t step, const Grid& grid, size_t tile, size_t panel, const uint8_t* residual,
             uint8_t* out) const {
    const Shape& shape = grid.shape;
    const size_t image = tile / (grid.across * grid.down), top = tile / grid.across % grid.down * kStep,
                 left = tile % grid.across * kStep, channel = panel * kPanel, channels = requantizer_.channels();
    const size_t first = ((image * shape.height + top) * shape.width + left) * channels + channel;
    const Target target{residual == nullptr ? nullptr : residual + first, out + first, shape.width * channels, channels,
                        std::min(kStep, shape.height - top), std::min(kStep, shape.width - left)};
    if (channels - channel >= kPanel)
      write_whole(sums, step, PanelRequantizer(requantizer_, channel), target);
    else
      write_part(sums, step, PanelRequantizer(requantizer_, channel), target, channels - channel);
  }

  // The same for a panel with fewer than 16 channels: computed in memory of its own, because bytes behind the last
  // channel may be neither read nor written.
  static void write_part(const int32_t* sums, size_t step, const PanelRequantizer& requantizer, const Target& target,
                         size_t channels) {
    alignas(kAlignment) uint8_t levels[kStep * kStep * kPanel], residual[kStep * kStep * kPanel] = {};
    const Target aside{target.residual == nullptr ? nullptr : residual, levels, kStep * kPanel, kPanel, target.rows,
                       target.columns};
    const auto each_pixel = [&target](auto&& copy) {
      for (size_t y = 0; y < target.rows; ++y)
        for (size_t x = 0; x < target.columns; ++x)
          copy((y * kStep + x) * kPanel, y * target.line + x * target.pixel);
    };
    if (target.residual != nullptr)
      each_pixel([&](size_t to, size_t from) { std::memcpy(residual + to, target.residual + from, channels); });
    write_whole(sums, step, requantizer, aside);
    each_pixel([&](size_t from, size_t to) { std::memcpy(target.out + to, levels + from, channels); });
  }

  static void write_whole(const int32_t* sums, size_t step, const PanelRequantizer& requantizer, const Target& target) {
    target.residual == nullptr ? write_whole<false>(sums, step, requantizer, target)
                               : write_whole<true>(sums, step, requantizer, target);
  }

  template <bool add>
  __attribute__((noinline)) static void write_whole(const int32_t* sums, size_t step, const PanelRequantizer& requantizer,
                                                    const Target& target) {
    __m256 columns[2][kStep * kSide];
    for (size_t half = 0; half < 2; ++half) {
      for (size_t x = 0; x < kSide; ++x) {
        __m256 column[kSide];
        for (size_t y = 0; y < kSide; ++y)
          column[y] = _mm256_cvtepi32_ps(
              _mm256_load_si256(reinterpret_cast<const __m256i*>(sums + (y * kSide + x) * step + half * 8)));
        Tile::output(column, columns[half] + x, kSide);
      }
    }
    alignas(kAlignment) uint8_t outside[kPanel] = {};
    for (size_t y = 0; y < target.rows; ++y) {
      __m256 left[kStep], right[kStep];
      Tile::output(columns[0] + y * kSide, left, 1);
      Tile::output(columns[1] + y * kSide, right, 1);
      const auto pixel = [&target, &outside, y](__m256 a, __m256 b, size_t x) {
        const size_t at = y * target.line + x * target.pixel;
        const bool inside = x < target.columns;
        return PanelRequantizer::Pixel{a, b, !add ? nullptr : inside ? target.residual + at : outside,
                            inside ? target.out + at : outside};
      };
      requantizer.store(pixel(left[0], right[0], 0), pixel(left[1], right[1], 1));
      requantizer.store(pixel(left[2], right[2], 2), pixel(left[3], right[3], 3));
    }
  }

  size_t in_;
  uint8_t zero_;
  Requantizer requantizer_;
  Buffer<int8_t> weights_;  // [panel][in / 2][2][9][8][2]
};

}  // namespace

std::unique_ptr<Convolution> make_winograd_f43_avx2(const Layer& layer) {
  return fits(layer) ? std::make_unique<Winograd>(layer) : nullptr;
}

}  // namespace zoo_ops
