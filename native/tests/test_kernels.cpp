// The kernels of libzoo_ops in memory that ends where it is said to, on threads that sanitizers see: the scalar ones
// against the formula, those of every other instruction set against the scalar ones, bit for bit. ONNX Runtime runs
// them in tests/native/test_ops_library.py.
#include <algorithm>
#include <cmath>
#include <limits>
#include <random>
#include <thread>
#include <vector>

#include "support/check.hpp"
#include "ops/kernels.hpp"

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

// The kernels that the others are compared with, and these others.
const Kernels& scalar() { return *usable_kernels().front(); }
std::vector<const Kernels*> vector_kernels() { return {usable_kernels().begin() + 1, usable_kernels().end()}; }

std::mt19937 random_numbers(5);

size_t drawn_one(size_t least, size_t most) { return std::uniform_int_distribution<size_t>(least, most)(random_numbers); }

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

// A layer of random weights for a case, and levels to run it on.
struct Example {
  explicit Example(const Case& c)
      : shape(c.shape),
        rows(c.window.rows(c.shape)),
        columns(c.window.columns(c.shape)),
        x(drawn<uint8_t>(c.shape.images * c.shape.height * c.shape.width * c.shape.channels, 0, 255)),
        residual(drawn<uint8_t>(c.shape.images * rows * columns * c.out, 0, 255)),
        layer{c.window, c.shape.channels, c.out, c.depthwise, nullptr, nullptr, nullptr, 121, 0.25F, 20, 240} {
    weights = drawn<int8_t>(c.out * layer.depth(), -c.heaviest, c.heaviest);
    multiplier.assign(c.out, 0.01F / static_cast<float>(std::sqrt(layer.depth())));
    offset.assign(c.out, 99.4F);
    layer.weights = weights.data();
    layer.multiplier = multiplier.data();
    layer.offset = offset.data();
  }

  std::vector<uint8_t> run(Kernels::MakeConvolution make, bool add) const {
    const std::unique_ptr<Convolution> convolution = make(layer);
    std::vector<uint8_t> out(residual.size());
    convolution->run(x.data(), shape, add ? residual.data() : nullptr, out.data(), Threads());
    return out;
  }

  // The value that the formula gives for one output, before it is rounded and bounded.
  double exact(size_t at) const {
    const Window& w = layer.window;
    const size_t pixel = at / layer.out, channel = at % layer.out, image = pixel / (rows * columns),
                 row = pixel / columns % rows, column = pixel % columns, depth = layer.depthwise ? 1 : layer.in;
    double sum = 0;
    for (size_t y = 0; y < w.height; ++y)
      for (size_t across = 0; across < w.width; ++across) {
        const size_t top = row * w.stride_y + y - w.top, left = column * w.stride_x + across - w.left;
        if (top >= shape.height || left >= shape.width) continue;
        for (size_t from = 0; from < depth; ++from) {
          const size_t in = layer.depthwise ? channel : from;
          const int level = x[((image * shape.height + top) * shape.width + left) * layer.in + in] - layer.x_zero;
          sum += level * layer.weights[((channel * w.height + y) * w.width + across) * depth + from];
        }
      }
    return sum * static_cast<double>(multiplier[channel]) + static_cast<double>(offset[channel]);
  }

  Shape shape;
  size_t rows, columns;
  std::vector<uint8_t> x, residual;
  std::vector<int8_t> weights;
  std::vector<float> multiplier, offset;
  Layer layer;
};

// The constructors of `kernels` that compute the layer.
std::vector<Kernels::MakeConvolution> makers(const Kernels& kernels, const Layer& layer) {
  if (layer.depthwise) return {kernels.make_depthwise};
  if (kernels.make_winograd_f43(layer) == nullptr) return {kernels.make_im2col_gemm};
  return {kernels.make_im2col_gemm, kernels.make_winograd_f43};
}

void check_formula(const Example& example) {
  for (const Kernels::MakeConvolution make : makers(scalar(), example.layer)) {
    const std::vector<uint8_t> out = example.run(make, true);
    size_t wrong = 0;
    for (size_t at = 0; at < out.size(); ++at) {
      const double level = std::clamp(example.exact(at) + 0.25 * example.residual[at], 20.0, 240.0);
      wrong += std::fabs(out[at] - level) > 0.51;
    }
    CHECK(wrong == 0);
  }
}

// Each convolution of each instruction set gives the bits of its scalar twin.
void check_twins(const Example& example) {
  const std::vector<Kernels::MakeConvolution> references = makers(scalar(), example.layer);
  for (const Kernels* kernels : vector_kernels()) {
    const std::vector<Kernels::MakeConvolution> others = makers(*kernels, example.layer);
    CHECK(others.size() == references.size());
    for (size_t at = 0; at < std::min(others.size(), references.size()); ++at)
      for (const bool add : {false, true}) CHECK(example.run(others[at], add) == example.run(references[at], add));
  }
}

const Window kThree{3, 3, 1, 1, 1, 1, 1, 1}, kTwo{3, 3, 2, 2, 1, 0, 0, 1}, kOne{1, 1, 1, 1, 0, 0, 0, 0},
    kStem{7, 7, 2, 2, 3, 3, 3, 3}, kFive{5, 5, 1, 1, 2, 2, 2, 2};

// Shapes at the limits of the kernels' tiles, panels and blocks.
const std::vector<Case>& edge_cases() {
  static const std::vector<Case> cases = {
      Case{{2, 9, 11, 16}, kThree, 21, false},    // Winograd: tiles over the edge, a panel that is not full
      Case{{1, 33, 30, 32}, kThree, 32, false},   // in blocks of one thread
      Case{{1, 10, 10, 160}, kThree, 40, false},  // shared tiles
      Case{{1, 1, 1, 16}, kThree, 16, false},
      Case{{1, 9, 7, 6}, kThree, 19, false},
      Case{{2, 12, 13, 3}, kStem, 17, false},
      Case{{1, 9, 8, 20}, kTwo, 33, false},
      Case{{2, 5, 6, 24}, kOne, 50, false},
      Case{{1, 5, 6, 7}, kOne, 3, false},
      Case{{1, 9, 7, 40}, kTwo, 33, false, 16},   // weights that all fit in pairs
      Case{{1, 9, 7, 44}, kOne, 33, false, 45},   // some of them
      Case{{1, 1, 1, 40}, kOne, 20, false},       // fewer rows than a tile has
      Case{{1, 1, 3, 40}, kOne, 16, false},
      Case{{1, 9, 10, 40}, kThree, 40, true},
      Case{{2, 9, 10, 17}, kTwo, 17, true},
      Case{{1, 9, 10, 32}, kThree, 32, true},
      Case{{2, 6, 5, 7}, kThree, 7, true},  // fewer channels than a register has
      Case{{1, 9, 10, 34}, kFive, 34, true},
      Case{{1, 2, 3, 16}, kFive, 16, true},  // a window larger than the picture
  };
  return cases;
}

Case random_case() {
  const bool depthwise = drawn_one(0, 2) == 0;
  const size_t height = drawn_one(1, 5), width = drawn_one(1, 5);
  const bool three = drawn_one(0, 2) == 0;  // what Winograd computes
  const Window window = three ? kThree
                              : Window{height,
                                       width,
                                       drawn_one(1, 3),
                                       drawn_one(1, 3),
                                       drawn_one(0, height - 1),
                                       drawn_one(0, width - 1),
                                       drawn_one(0, height - 1),
                                       drawn_one(0, width - 1)};
  const size_t in = three && !depthwise ? 16 * drawn_one(1, 3) : drawn_one(1, 70);
  const Shape shape{drawn_one(1, 2), drawn_one(window.height, 20), drawn_one(window.width, 20), in};
  return {shape, window, depthwise ? in : drawn_one(1, 50), depthwise, static_cast<int>(drawn_one(1, 64))};
}

}  // namespace

TEST(scalar_kernels_compute_the_formula) {
  for (const Case& c : edge_cases()) check_formula(Example(c));
}

TEST(kernels_of_all_instruction_sets_give_the_bits_of_the_scalar_ones) {
  for (const Case& c : edge_cases()) check_twins(Example(c));
  for (int i = 0; i < 60; ++i) check_twins(Example(random_case()));
}

TEST(all_kernels_round_and_saturate_alike) {
  for (const Case& c : {Case{{1, 8, 8, 16}, kThree, 20, false}, Case{{1, 8, 8, 40}, kOne, 37, false},
                        Case{{1, 8, 8, 37}, kThree, 37, true}}) {
    Example example(c);
    example.layer.low = 0, example.layer.high = 255;
    for (const float factor : {0.5F, 0.0078125F, -0.5F, 100.0F}) {  // halves, between two levels; sums far beyond levels
      for (size_t channel = 0; channel < c.out; ++channel)
        example.multiplier[channel] = factor, example.offset[channel] = static_cast<float>(channel) - 0.5F;
      example.layer.residual_multiplier = factor;
      check_twins(example);
    }
    for (const float beyond : {1e9F, -1e9F, std::numeric_limits<float>::infinity(), std::nanf("")}) {
      example.layer.residual_multiplier = beyond;  // values that int32 does not hold
      check_twins(example);
    }
    example.layer.residual_multiplier = 1, example.layer.low = 200, example.layer.high = 100;  // bounds that cross
    check_twins(example);
  }
}

TEST(pools_stay_in_their_memory_and_give_the_bits_of_the_scalar_ones) {
  for (const Shape& shape : {Shape{2, 9, 10, 45}, Shape{1, 1, 1, 1}, Shape{3, 7, 5, 3}, Shape{1, 16, 17, 96}}) {
    const Window window = shape.height == 1 ? kOne : Window{3, 3, 2, 2, 1, 1, 1, 1};
    const size_t pixels = shape.height * shape.width, channels = shape.channels;
    const auto x = drawn<uint8_t>(shape.images * pixels * channels, 0, 255), table = drawn<uint8_t>(channels * 256, 0, 255);
    const auto largest = [&](const Kernels& kernels) {
      std::vector<uint8_t> out(shape.images * window.rows(shape) * window.columns(shape) * channels);
      kernels.max_pool(x.data(), shape, window, out.data(), Threads());
      return out;
    };
    const auto mean = [&](const Kernels& kernels, float multiplier, float offset) {
      std::vector<uint8_t> out(shape.images * channels);
      kernels.mean(x.data(), shape, multiplier, offset, out.data(), Threads());
      return out;
    };
    const auto looked_up = [&](const Kernels& kernels) {
      std::vector<uint8_t> out(x.size());
      kernels.levels(x.data(), shape, table.data(), out.data(), Threads());
      return out;
    };
    const float each = 1.0F / static_cast<float>(pixels);
    for (const Kernels* kernels : vector_kernels()) {
      CHECK(largest(*kernels) == largest(scalar()));
      CHECK(looked_up(*kernels) == looked_up(scalar()));
      CHECK(mean(*kernels, each, 0) == mean(scalar(), each, 0));
      CHECK(mean(*kernels, 1.7F * each, -60.25F) == mean(scalar(), 1.7F * each, -60.25F));
      CHECK(mean(*kernels, 0.5F, -100.5F) == mean(scalar(), 0.5F, -100.5F));
    }
    const std::vector<uint8_t> corner = largest(scalar()), levels = looked_up(scalar()), means = mean(scalar(), each, 0);
    for (size_t channel = 0; channel < channels; ++channel) {
      const size_t line = shape.width * channels;
      const uint8_t first = pixels == 1 ? x[channel]
                                        : std::max({x[channel], x[channels + channel], x[line + channel],
                                                    x[line + channels + channel]});
      double sum = 0;
      for (size_t pixel = 0; pixel < pixels; ++pixel) sum += x[pixel * channels + channel];
      CHECK(corner[channel] == first);
      CHECK(levels[channel] == table[channel * 256 + x[channel]]);
      CHECK(std::fabs(means[channel] - sum / static_cast<double>(pixels)) < 0.51);
    }
  }
}
