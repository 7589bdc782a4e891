// The three transforms of Winograd's F(4x4, 3x3) along one axis (ops/common/winograd_f43.hpp), in AVX2 registers.
#pragma once

#include <immintrin.h>

#include "ops/common/winograd_f43.hpp"

namespace zoo_ops::winograd_f43 {

struct Tile {
  // B' of six values of 16 channels each, int16. Sums on the way may leave 16 bits; the result does not.
  static void input(const __m256i* d, __m256i* out, size_t step) {
    const auto add = [](__m256i a, __m256i b) { return _mm256_add_epi16(a, b); };
    const auto sub = [](__m256i a, __m256i b) { return _mm256_sub_epi16(a, b); };
    const auto four = [](__m256i a) { return _mm256_slli_epi16(a, 2); };
    const __m256i a = sub(d[4], four(d[2])), b = sub(d[3], four(d[1])), c = sub(d[4], d[2]),
                  e = _mm256_slli_epi16(sub(d[3], d[1]), 1);
    out[0] = add(sub(four(sub(d[0], d[2])), d[2]), d[4]);
    out[step] = add(a, b);
    out[2 * step] = sub(a, b);
    out[3 * step] = add(c, e);
    out[4 * step] = sub(c, e);
    out[5 * step] = add(sub(four(sub(d[1], d[3])), d[3]), d[5]);
  }

  // Two rows of kFilter times three values of 16 channels each, int16. `rows` chooses the two: kRows[rows].
  static constexpr size_t kRows[3][2] = {{0, 5}, {1, 2}, {3, 4}};
  template <size_t rows>
  static void filter(__m256i a, __m256i b, __m256i c, __m256i* out) {
    if (rows == 0) {
      out[0] = a;
      out[1] = c;
      return;
    }
    const __m256i even = _mm256_add_epi16(a, rows == 1 ? c : _mm256_slli_epi16(c, 2));
    const __m256i odd = rows == 1 ? b : _mm256_add_epi16(b, b);
    out[0] = _mm256_add_epi16(even, odd);
    out[1] = _mm256_sub_epi16(even, odd);
  }

  // A' of six values of 8 channels each, float32, divided by what made kFilter whole. The scalar twin does the same
  // operations in the same order, so that both round alike.
  static void output(const __m256* m, __m256* out, size_t step) {
    const auto times = [](double factor) { return _mm256_set1_ps(static_cast<float>(factor)); };
    const __m256 a = _mm256_add_ps(m[1], m[2]), b = _mm256_sub_ps(m[1], m[2]), c = _mm256_add_ps(m[3], m[4]),
                 d = _mm256_sub_ps(m[3], m[4]);
    const __m256 sixth = times(-1. / 6), e = _mm256_mul_ps(a, sixth), f = _mm256_mul_ps(b, sixth);
    out[0] = _mm256_fmadd_ps(c, times(1. / 24), _mm256_fmadd_ps(m[0], times(1. / 4), e));
    out[step] = _mm256_fmadd_ps(d, times(2. / 24), f);
    out[2 * step] = _mm256_fmadd_ps(c, times(4. / 24), e);
    out[3 * step] = _mm256_add_ps(_mm256_fmadd_ps(d, times(8. / 24), f), m[5]);
  }
};

}  // namespace zoo_ops::winograd_f43
