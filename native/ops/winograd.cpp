// 3x3 filters of stride 1 by Winograd's minimal filtering (tile.hpp), in whole numbers.
//
// B' x B of levels fits into 16 bits. So does G w G', times a number for each position that makes its fractions whole: the
// sums are exact, and the answer is the direct product's. A layer where a sum over channels could leave 32 bits for some
// picture, which takes very many channels or weights that are all large, is not computed like this. Sums are floats from
// there on.
#include <algorithm>
#include <cstdlib>
#include <limits>

#include "finish.hpp"
#include "tile.hpp"

namespace zoo_ops {
namespace {

constexpr size_t kSide = Tile::kSide, kStep = Tile::kStep, kPositions = kSide * kSide;
constexpr size_t kRows = 6;                   // of a tile of the product: 6 x 16 sums fill the registers
constexpr size_t kFewTiles = 8;               // fewer, and reading the weights takes longer than the direct product
constexpr size_t kManyTiles = 144;            // from so many on, and
constexpr size_t kFewChannels = 128;          // up to so many channels, each thread has blocks of its own
constexpr size_t kCached = 108 * 1024;        // of their numbers stay in the L2 cache
constexpr size_t kSharedTiles = 96;           // that threads work on together otherwise
constexpr size_t kTogether = 2;               // panels that read the same tiles while these are in the cache

struct TilesUse {
  using Type = int16_t;
};
struct SumsUse {
  using Type = int32_t;
};

inline __m256i pair(const int16_t* from) {
  int32_t two;
  std::memcpy(&two, from, sizeof two);
  return _mm256_set1_epi32(two);
}

// Weights that are needed soon and are fetched meanwhile: there is no pattern in their places that a processor would see.
struct Fetch {
  const char* from;
  size_t step;  // bytes for each channel
};

// sums[row][16] = tiles[row][channels] . weights[channels / 2][16][2]
template <size_t rows>
__attribute__((noinline)) void multiply(const int16_t* tiles, size_t channels, const int16_t* weights, Fetch fetch,
                                        int32_t* sums) {
  __m256i found[rows][2];
#pragma GCC unroll 8
  for (size_t row = 0; row < rows; ++row) found[row][0] = found[row][1] = _mm256_setzero_si256();
  const auto* by = reinterpret_cast<const __m256i*>(weights);
  for (size_t channel = 0; channel < channels; channel += 2, by += 2) {
    const __m256i left = _mm256_load_si256(by), right = _mm256_load_si256(by + 1);
    _mm_prefetch(fetch.from + channel * fetch.step, _MM_HINT_T1);
#pragma GCC unroll 8
    for (size_t row = 0; row < rows; ++row) {
      const __m256i x = pair(tiles + row * channels + channel);
      found[row][0] = _mm256_add_epi32(found[row][0], _mm256_madd_epi16(x, left));
      found[row][1] = _mm256_add_epi32(found[row][1], _mm256_madd_epi16(x, right));
      pin(found[row][0], found[row][1]);
    }
  }
  auto* out = reinterpret_cast<__m256i*>(sums);
#pragma GCC unroll 8
  for (size_t row = 0; row < rows; ++row) {
    _mm256_store_si256(out + 2 * row, found[row][0]);
    _mm256_store_si256(out + 2 * row + 1, found[row][1]);
  }
}

// The same of any number of rows, which fetch `next` together.
void multiply(const int16_t* tiles, size_t count, size_t channels, const int16_t* weights, const int16_t* next,
              int32_t* sums) {
  const size_t groups = (count + kRows - 1) / kRows, step = sizeof(int16_t) * kPanel / groups;
  Fetch fetch{reinterpret_cast<const char*>(next), step};
  for (; count >= kRows; count -= kRows, tiles += kRows * channels, sums += kRows * kPanel, fetch.from += step * channels)
    multiply<kRows>(tiles, channels, weights, fetch, sums);
  switch (count) {
    case 1: return multiply<1>(tiles, channels, weights, fetch, sums);
    case 2: return multiply<2>(tiles, channels, weights, fetch, sums);
    case 3: return multiply<3>(tiles, channels, weights, fetch, sums);
    case 4: return multiply<4>(tiles, channels, weights, fetch, sums);
    case 5: return multiply<5>(tiles, channels, weights, fetch, sums);
    default: return;
  }
}

class Winograd : public Convolution {
 public:
  explicit Winograd(const Layer& layer)
      : in_(layer.in), zero_(layer.x_zero), finish_(layer), direct_(make_direct(layer)),
        weights_(panels(layer.out) * kPositions * layer.in * kPanel) {
    std::unique_ptr<int[]> filters(new int[in_ * kPositions]);
    for (size_t channel = 0; channel < layer.out; ++channel) {
      for (size_t from = 0; from < in_; ++from)
        transform_filter(layer.weights + channel * 9 * in_ + from, in_, &filters[from * kPositions]);
      for (size_t position = 0; position < kPositions; ++position) keep(&filters[position], channel, position);
    }
  }

  // Whether no sum can leave 32 bits.
  bool exact() const { return exact_; }

  void run(const uint8_t* in, const Shape& shape, const uint8_t* residual, uint8_t* out,
           const Parallel& parallel) const override {
    const Grid grid{shape, (shape.width + kStep - 1) / kStep, (shape.height + kStep - 1) / kStep};
    const size_t tiles = shape.images * grid.across * grid.down;
    if (tiles < kFewTiles) {
      direct_->run(in, shape, residual, out, parallel);
    } else if (in_ <= kFewChannels && tiles >= kManyTiles) {
      const size_t cached = kCached / kPositions / in_, blocks = ((tiles + cached - 1) / cached + 3) / 4 * 4;
      parallel(blocks, [&](size_t block) {
        const size_t first = tiles * block / blocks;
        alone(in, grid, first, tiles * (block + 1) / blocks - first, residual, out);
      });
    } else {
      const size_t rounds = (tiles + kSharedTiles - 1) / kSharedTiles;
      for (size_t round = 0; round < rounds; ++round) {
        const size_t first = tiles * round / rounds;
        together(in, grid, first, tiles * (round + 1) / rounds - first, residual, out, parallel);
      }
    }
  }

 private:
  struct Grid {
    Shape shape;
    size_t across, down;  // tiles
  };

  // G w G' of one filter, whose nine weights are `step` apart, as whole numbers.
  static void transform_filter(const int8_t* w, size_t step, int* out) {
    int half[kSide][3];
    for (size_t row = 0; row < kSide; ++row)
      for (size_t x = 0; x < 3; ++x)
        half[row][x] = Tile::kFilter[row][0] * w[x * step] + Tile::kFilter[row][1] * w[(3 + x) * step] +
                       Tile::kFilter[row][2] * w[(6 + x) * step];
    for (size_t row = 0; row < kSide; ++row)
      for (size_t column = 0; column < kSide; ++column)
        out[row * kSide + column] = half[row][0] * Tile::kFilter[column][0] + half[row][1] * Tile::kFilter[column][1] +
                                    half[row][2] * Tile::kFilter[column][2];
  }

  // The largest value of B' x B at a position, either sign, of levels between -zero and 255 - zero.
  static int64_t largest(size_t position, uint8_t zero) {
    int64_t up = 0, down = 0;
    for (size_t y = 0; y < kSide; ++y) {
      for (size_t x = 0; x < kSide; ++x) {
        const int factor = Tile::kInput[position / kSide][y] * Tile::kInput[position % kSide][x];
        (factor > 0 ? up : down) += std::abs(factor);
      }
    }
    const int64_t high = 255 - zero, low = zero;
    return std::max(up * high + down * low, up * low + down * high);
  }

  // Lay out one output channel's filters at a position, `kPositions` apart.
  void keep(const int* filters, size_t channel, size_t position) {
    const size_t place = channel / kPanel * kPositions + position, lane = channel % kPanel;
    int64_t sum = 0;
    for (size_t from = 0; from < in_; ++from) {
      const int weight = filters[from * kPositions];
      sum += std::abs(weight);
      weights_[(place * in_ + from / 2 * 2) * kPanel + lane * 2 + from % 2] = static_cast<int16_t>(weight);
    }
    exact_ = exact_ && sum * largest(position, zero_) <= std::numeric_limits<int32_t>::max();
  }

  // A block of tiles from pixels to pixels, by one thread.
  void alone(const uint8_t* in, const Grid& grid, size_t first, size_t count, const uint8_t* residual,
             uint8_t* out) const {
    int16_t* seen = scratch<TilesUse>(kPositions * count * in_);
    int32_t* sums = scratch<SumsUse>(kPositions * count * kPanel);
    for (size_t tile = 0; tile < count; ++tile) read(in, grid, first + tile, seen + tile * in_, count * in_, 0, in_);
    for (size_t panel = 0; panel < panels(finish_.channels()); ++panel) {
      for (size_t position = 0; position < kPositions; ++position)
        product(seen, count, panel, position, panel * kPositions + position + 2, sums);
      for (size_t tile = 0; tile < count; ++tile) write(sums, count, tile, grid, first + tile, panel, residual, out);
    }
  }

  // All threads read the same tiles, then each computes some of the panels.
  void together(const uint8_t* in, const Grid& grid, size_t first, size_t count, const uint8_t* residual, uint8_t* out,
                const Parallel& parallel) const {
    int16_t* seen = scratch<TilesUse>(kPositions * count * in_);
    const size_t slices = in_ / kPanel, all = panels(finish_.channels());
    parallel(slices, [&](size_t slice) {
      for (size_t tile = 0; tile < count; ++tile)
        read(in, grid, first + tile, seen + tile * in_, count * in_, slice * kPanel, (slice + 1) * kPanel);
    });
    parallel((all + kTogether - 1) / kTogether, [&](size_t task) {
      const size_t start = task * kTogether, end = std::min(start + kTogether, all), size = kPositions * count * kPanel;
      int32_t* sums = scratch<SumsUse>(kTogether * size);
      for (size_t position = 0; position < kPositions; ++position)
        for (size_t panel = start; panel < end; ++panel)
          product(seen, count, panel, position, panel * kPositions + position + 1, sums + (panel - start) * size);
      for (size_t panel = start; panel < end; ++panel)
        for (size_t tile = 0; tile < count; ++tile)
          write(sums + (panel - start) * size, count, tile, grid, first + tile, panel, residual, out);
    });
  }

  // `next`: panel and position, as one number, of the weights that are needed after the next ones: fetching takes longer
  // than one product.
  void product(const int16_t* seen, size_t count, size_t panel, size_t position, size_t next, int32_t* sums) const {
    const size_t place = panel * kPositions + position, size = in_ * kPanel;
    multiply(seen + position * count * in_, count, in_, &weights_[place * size], weights_.data() + next * size,
             sums + position * count * kPanel);
  }

  // B' x B of one tile, of the channels from `start` to `end`: position p goes to out[p * step].
  void read(const uint8_t* in, const Grid& grid, size_t tile, int16_t* out, size_t step, size_t start,
            size_t end) const {
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
    for (size_t channel = start; channel < end; channel += kPanel) {
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

  // A' m A of one tile and panel, finished, to where it belongs.
  void write(const int32_t* sums, size_t count, size_t at, const Grid& grid, size_t tile, size_t panel,
             const uint8_t* residual, uint8_t* out) const {
    __m256 found[2][kStep * kStep];
    for (size_t half = 0; half < 2; ++half) {
      __m256 columns[kStep * kSide];
      for (size_t x = 0; x < kSide; ++x) {
        __m256 column[kSide];
        for (size_t y = 0; y < kSide; ++y)
          column[y] = _mm256_cvtepi32_ps(_mm256_load_si256(
              reinterpret_cast<const __m256i*>(sums + ((y * kSide + x) * count + at) * kPanel + half * 8)));
        Tile::output(column, columns + x, kSide);
      }
      for (size_t y = 0; y < kStep; ++y) Tile::output(columns + y * kSide, found[half] + y * kStep, 1);
    }
    const Shape& shape = grid.shape;
    const size_t image = tile / (grid.across * grid.down), top = tile / grid.across % grid.down * kStep,
                 left = tile % grid.across * kStep, channel = panel * kPanel;
    const Panel end = finish_.panel(channel);
    for (size_t y = 0; y < std::min(kStep, shape.height - top); ++y) {
      for (size_t x = 0; x < std::min(kStep, shape.width - left); ++x) {
        const size_t place =
            ((image * shape.height + top + y) * shape.width + left + x) * finish_.channels() + channel;
        end.store(found[0][y * kStep + x], found[1][y * kStep + x], residual == nullptr ? nullptr : residual + place,
                  out + place, finish_.channels() - channel);
      }
    }
  }

  size_t in_;
  uint8_t zero_;
  bool exact_ = true;
  Finish finish_;
  std::unique_ptr<Convolution> direct_;  // for small maps
  Buffer<int16_t> weights_;  // [panel][position][in / 2][16][2]
};

}  // namespace

std::unique_ptr<Convolution> make_winograd(const Layer& layer) {
  const Window& w = layer.window;
  const bool fits = !layer.depthwise && w.height == 3 && w.width == 3 && w.stride_y == 1 && w.stride_x == 1 &&
                    w.top == 1 && w.left == 1 && w.bottom == 1 && w.right == 1 && layer.in % kPanel == 0;
  if (!fits) return nullptr;
  auto made = std::make_unique<Winograd>(layer);
  if (!made->exact()) return nullptr;
  return made;
}

}  // namespace zoo_ops
