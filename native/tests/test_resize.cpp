// Resizing: the code of each instruction set, and the sizes.
#include "preprocess/preprocessor.hpp"
#include "resize/resize.hpp"
#include "support/check.hpp"

using namespace zoo_impl;

// Random bytes: a swapped pixel or channel changes the result.
static std::vector<uint8_t> noise(size_t size) {
  static uint32_t state = 7;
  std::vector<uint8_t> bytes(size);
  for (uint8_t& byte : bytes) {
    state = state * 1664525u + 1013904223u;
    byte = static_cast<uint8_t>(state >> 24);
  }
  return bytes;
}

TEST(vector_code_gives_the_bits_of_scalar_code) {
  // 20000 to 3 has so many weights that the sums of their parts wrap around. The picture of width 37 is white: its sums
  // are the largest.
  const uint32_t sides[][2] = {{500, 341}, {37, 90}, {1000, 16}, {5, 4}, {1, 7}, {2, 1}, {9, 3}, {640, 256}, {20000, 3}};
  for (const Loops* loops : usable_loops())
    for (const auto& [wide, out_wide] : sides)
      for (const auto& [high, out_high] : sides) {
        if (size_t{wide} * high > 4000000) continue;
        std::vector<uint8_t> rgb = wide == 37 ? std::vector<uint8_t>(size_t{wide} * high * 3, 255)
                                              : noise(size_t{wide} * high * 3);
        const View view{rgb.data(), wide, high, size_t{wide} * 3, false, 0};  // address sanitizer watches its end
        for (uint32_t cut : {0u, 1u, 3u}) {
          if (out_wide <= 2 * cut || out_high <= 2 * cut) continue;
          const Crop crop{out_wide, out_high, cut, cut, out_wide - 2 * cut, out_high - 2 * cut};
          std::vector<uint8_t> scalar(size_t{crop.wide} * crop.high * 3), fast(scalar.size());
          Resizer(kScalar).run(view, crop, scalar.data());
          Resizer(*loops).run(view, crop, fast.data());
          CHECK(scalar == fast);
        }
      }
}

TEST(preprocessing_rounds_halves_to_even_as_python) {
  const Crop crop = crop_of({500, 375}, {256, 224, 224});
  CHECK(crop.width == 341 && crop.height == 256 && crop.left == 58 && crop.top == 16);
  CHECK(crop_of({5, 2}, {1, 1, 1}).width == 2);   // 2.5
  CHECK(crop_of({7, 2}, {1, 1, 1}).width == 4);   // 3.5
  CHECK(crop_of({10, 10}, {4, 8, 6}).height == 8);  // never smaller than the crop
}
