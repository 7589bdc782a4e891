// The kernels of libzoo_ops on memory that ends where it is said to, with threads that sanitizers see; what they compute
// is tested with ONNX Runtime, in tests/test_ops_library.py.
#include <algorithm>
#include <cmath>
#include <random>
#include <thread>
#include <vector>

#include "check.hpp"
#include "ops/convolution.hpp"

using namespace zoo_ops;

namespace {

class Threads : public Parallel {
 private:
  void run(size_t count, void (*task)(void*, size_t), void* self) const override {
    std::thread other([&] { for (size_t part = 1; part < count; part += 2) task(self, part); });
    for (size_t part = 0; part < count; part += 2) task(self, part);
    other.join();
  }
};

std::mt19937 random_numbers(5);

template <typename T>
std::vector<T> drawn(size_t count, int least, int most) {
  std::uniform_int_distribution<int> any(least, most);
  std::vector<T> found(count);
  for (T& value : found) value = static_cast<T>(any(random_numbers));
  return found;
}

struct Case {
  Shape shape;
  Window window;
  size_t out;
  bool depthwise;
  int heaviest = 64;  // weight
};

// One level of the answer, as the formula says.
float expected(const Case& c, const Layer& layer, const std::vector<uint8_t>& x, size_t image, size_t row,
               size_t column, size_t channel) {
  const Window& w = c.window;
  const size_t depth = c.depthwise ? 1 : layer.in;
  double sum = 0;
  for (size_t y = 0; y < w.height; ++y) {
    for (size_t across = 0; across < w.width; ++across) {
      const size_t top = row * w.stride_y + y - w.top, left = column * w.stride_x + across - w.left;
      if (top >= c.shape.height || left >= c.shape.width) continue;
      for (size_t from = 0; from < depth; ++from) {
        const size_t at = c.depthwise ? channel : from;
        const int level = x[((image * c.shape.height + top) * c.shape.width + left) * layer.in + at] - layer.x_zero;
        sum += level * layer.weights[((channel * w.height + y) * w.width + across) * depth + from];
      }
    }
  }
  return static_cast<float>(sum * static_cast<double>(layer.multiplier[channel])) + layer.offset[channel];
}

void compare(const Case& c) {
  const size_t in = c.shape.channels, rows = c.window.rows(c.shape), columns = c.window.columns(c.shape);
  const size_t depth = c.window.height * c.window.width * (c.depthwise ? 1 : in);
  const auto x = drawn<uint8_t>(c.shape.images * c.shape.height * c.shape.width * in, 0, 255);
  const auto w = drawn<int8_t>(c.out * depth, -c.heaviest, c.heaviest);
  const auto residual = drawn<uint8_t>(c.shape.images * rows * columns * c.out, 0, 255);
  std::vector<float> multiplier(c.out, 0.01F / static_cast<float>(std::sqrt(depth))), offset(c.out, 99.4F);
  const Layer layer{c.window,          in,  c.out, c.depthwise, w.data(), multiplier.data(), offset.data(), 121,
                    0.25F /* levels */, 20, 240};
  const auto convolution = make_convolution(layer);
  std::vector<uint8_t> out(residual.size());
  convolution->run(x.data(), c.shape, residual.data(), out.data(), Threads());
  size_t wrong = 0;
  for (size_t at = 0; at < out.size(); ++at) {
    const size_t pixel = at / c.out, image = pixel / (rows * columns);
    const float real = expected(c, layer, x, image, pixel / columns % rows, pixel % columns, at % c.out) +
                       0.25F * static_cast<float>(residual[at]);
    const float level = std::fmin(std::fmax(real, 20.0F), 240.0F);
    wrong += std::fabs(static_cast<float>(out[at]) - level) > 0.51F;
  }
  CHECK(wrong == 0);
}

}  // namespace

TEST(convolutions_stay_in_their_memory) {
  if (__builtin_cpu_supports("avx2") == 0 || __builtin_cpu_supports("fma") == 0) return;
  const Window three{3, 3, 1, 1, 1, 1, 1, 1}, two{3, 3, 2, 2, 1, 0, 0, 1}, one{1, 1, 1, 1, 0, 0, 0, 0},
      stem{7, 7, 2, 2, 3, 3, 3, 3}, five{5, 5, 1, 1, 2, 2, 2, 2};
  for (const Case& c : {
           Case{{2, 9, 11, 16}, three, 21, false},    // Winograd, tiles over the edge, channels that fill no panel
           Case{{1, 33, 30, 32}, three, 32, false},   // in blocks of one thread
           Case{{1, 10, 10, 160}, three, 40, false},  // shared tiles
           Case{{1, 1, 1, 16}, three, 16, false},
           Case{{1, 9, 7, 6}, three, 19, false},
           Case{{2, 12, 13, 3}, stem, 17, false},
           Case{{1, 9, 8, 20}, two, 33, false},
           Case{{2, 5, 6, 24}, one, 50, false},
           Case{{1, 5, 6, 7}, one, 3, false},
           Case{{1, 9, 7, 40}, two, 33, false, 16},   // weights that all fit in pairs
           Case{{1, 9, 7, 44}, one, 33, false, 45},   // some of them
           Case{{1, 1, 1, 40}, one, 20, false},       // fewer rows than a tile has
           Case{{1, 1, 3, 40}, one, 16, false},
           Case{{1, 9, 10, 40}, three, 40, true},
           Case{{2, 9, 10, 17}, two, 17, true},
           Case{{1, 9, 10, 32}, three, 32, true},
           Case{{2, 6, 5, 7}, three, 7, true},  // fewer channels than a register has
           Case{{1, 9, 10, 34}, five, 34, true},
           Case{{1, 2, 3, 16}, five, 16, true},  // a window larger than the picture
       })
    compare(c);
}

TEST(pools_stay_in_their_memory) {
  if (__builtin_cpu_supports("avx2") == 0) return;
  const Shape shape{2, 9, 10, 45};
  const Window window{3, 3, 2, 2, 1, 1, 1, 1};
  const auto x = drawn<uint8_t>(2 * 9 * 10 * 45, 0, 255), table = drawn<uint8_t>(45 * 256, 0, 255);
  std::vector<uint8_t> largest(2 * 5 * 5 * 45), means(2 * 45), looked_up(x.size());
  max_pool(x.data(), shape, window, largest.data(), Threads());
  mean(x.data(), shape, 1.0F / 90, 0, means.data(), Threads());
  levels(x.data(), shape, table.data(), looked_up.data(), Threads());
  for (size_t channel = 0; channel < 45; ++channel) {
    CHECK(largest[channel] == std::max({x[channel], x[45 + channel], x[450 + channel], x[495 + channel]}));
    CHECK(looked_up[channel] == table[channel * 256 + x[channel]]);
  }
}
