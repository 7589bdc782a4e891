// The two inner loops of resizing with AVX2, to the same bits as the scalar ones. The order of the weights: resize.hpp.
#include "resize/resize.hpp"

#if ZOO_X86

#include <immintrin.h>

#define ZOO_AVX2 __attribute__((target("avx2")))

namespace zoo_impl {

ZOO_AVX2 static inline __m256i load(const void* from) { return _mm256_loadu_si256(static_cast<const __m256i*>(from)); }

// 16 bytes from each of two places.
ZOO_AVX2 static inline __m256i load_two(const void* low, const void* high) {
  return _mm256_inserti128_si256(_mm256_castsi128_si256(_mm_loadu_si128(static_cast<const __m128i*>(low))),
                                 _mm_loadu_si128(static_cast<const __m128i*>(high)), 1);
}

// high * 2048 + low, rounded.
ZOO_AVX2 static inline __m256i whole(__m256i high, __m256i low) {
  const __m256i half = _mm256_set1_epi32(1 << (kWeightBits - 1));
  return _mm256_srai_epi32(_mm256_add_epi32(_mm256_add_epi32(_mm256_slli_epi32(high, kLowBits), low), half),
                           kWeightBits);
}

ZOO_AVX2 static void across(const uint8_t* in, uint8_t* out, const Taps& taps) {
  // RGB pixels 0 and 1, and 2 and 3, to pairs of 16 bits: r r g g b b - -.
  const __m256i left = _mm256_setr_epi8(0, -1, 3, -1, 1, -1, 4, -1, 2, -1, 5, -1, -1, -1, -1, -1,  //
                                        0, -1, 3, -1, 1, -1, 4, -1, 2, -1, 5, -1, -1, -1, -1, -1);
  const __m256i right = _mm256_setr_epi8(6, -1, 9, -1, 7, -1, 10, -1, 8, -1, 11, -1, -1, -1, -1, -1,  //
                                         6, -1, 9, -1, 7, -1, 10, -1, 8, -1, 11, -1, -1, -1, -1, -1);
  // r g b - r g b - ... of outputs 0 and 1 below, of 2 and 3 above, to twelve bytes in both together.
  const __m256i close = _mm256_setr_epi8(0, 1, 2, 4, 5, 6, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1,  //
                                         -1, -1, -1, -1, -1, -1, 0, 1, 2, 4, 5, 6, -1, -1, -1, -1);
  const int32_t* pairs = taps.pairs.data();
  for (size_t group = 0; group < taps.reach.size(); ++group, out += 12) {
    const uint32_t* start = &taps.start[group * 4];
    const uint8_t *p0 = in + size_t{start[0]} * 3, *p1 = in + size_t{start[1]} * 3, *p2 = in + size_t{start[2]} * 3,
                  *p3 = in + size_t{start[3]} * 3;
    __m256i high02 = _mm256_setzero_si256(), high13 = high02, low02 = high02, low13 = high02;
    for (uint32_t x = 0; x < taps.reach[group]; x += 4, pairs += 64) {
      const size_t at = size_t{x} * 3;
      const __m256i even = load_two(p0 + at, p2 + at), odd = load_two(p1 + at, p3 + at);
      const __m256i even0 = _mm256_shuffle_epi8(even, left), even2 = _mm256_shuffle_epi8(even, right);
      const __m256i odd0 = _mm256_shuffle_epi8(odd, left), odd2 = _mm256_shuffle_epi8(odd, right);
      high02 = _mm256_add_epi32(high02, _mm256_madd_epi16(even0, load(pairs)));
      high13 = _mm256_add_epi32(high13, _mm256_madd_epi16(odd0, load(pairs + 8)));
      high02 = _mm256_add_epi32(high02, _mm256_madd_epi16(even2, load(pairs + 16)));
      high13 = _mm256_add_epi32(high13, _mm256_madd_epi16(odd2, load(pairs + 24)));
      low02 = _mm256_add_epi32(low02, _mm256_madd_epi16(even0, load(pairs + 32)));
      low13 = _mm256_add_epi32(low13, _mm256_madd_epi16(odd0, load(pairs + 40)));
      low02 = _mm256_add_epi32(low02, _mm256_madd_epi16(even2, load(pairs + 48)));
      low13 = _mm256_add_epi32(low13, _mm256_madd_epi16(odd2, load(pairs + 56)));
    }
    const __m256i words = _mm256_packs_epi32(whole(high02, low02), whole(high13, low13));
    const __m256i bytes = _mm256_shuffle_epi8(_mm256_packus_epi16(words, words), close);
    _mm_storeu_si128(reinterpret_cast<__m128i*>(out),
                     _mm_or_si128(_mm256_castsi256_si128(bytes), _mm256_extracti128_si256(bytes, 1)));
  }
}

// 32 bytes of an output row.
ZOO_AVX2 static void down_32(const uint8_t* const* rows, const int32_t* pairs, uint32_t count, uint8_t* out, size_t x) {
  const __m256i zero = _mm256_setzero_si256();
  __m256i high0 = zero, high1 = zero, high2 = zero, high3 = zero, low0 = zero, low1 = zero, low2 = zero, low3 = zero;
  for (uint32_t y = 0; y < count; y += 2, pairs += 2) {
    const __m256i a = load(rows[y] + x), b = load(rows[y + 1 < count ? y + 1 : y] + x);  // its weight is 0 then
    const __m256i upper = _mm256_set1_epi32(pairs[0]), lower = _mm256_set1_epi32(pairs[1]);
    const __m256i left = _mm256_unpacklo_epi8(a, b), right = _mm256_unpackhi_epi8(a, b);
    const __m256i ab0 = _mm256_unpacklo_epi8(left, zero), ab1 = _mm256_unpackhi_epi8(left, zero);
    const __m256i ab2 = _mm256_unpacklo_epi8(right, zero), ab3 = _mm256_unpackhi_epi8(right, zero);
    high0 = _mm256_add_epi32(high0, _mm256_madd_epi16(ab0, upper));
    high1 = _mm256_add_epi32(high1, _mm256_madd_epi16(ab1, upper));
    high2 = _mm256_add_epi32(high2, _mm256_madd_epi16(ab2, upper));
    high3 = _mm256_add_epi32(high3, _mm256_madd_epi16(ab3, upper));
    low0 = _mm256_add_epi32(low0, _mm256_madd_epi16(ab0, lower));
    low1 = _mm256_add_epi32(low1, _mm256_madd_epi16(ab1, lower));
    low2 = _mm256_add_epi32(low2, _mm256_madd_epi16(ab2, lower));
    low3 = _mm256_add_epi32(low3, _mm256_madd_epi16(ab3, lower));
  }
  // Unpacking split the registers in the same order in which packing puts them together again.
  const __m256i words0 = _mm256_packs_epi32(whole(high0, low0), whole(high1, low1));
  const __m256i words1 = _mm256_packs_epi32(whole(high2, low2), whole(high3, low3));
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(out + x), _mm256_packus_epi16(words0, words1));
}

ZOO_AVX2 static void down(const uint8_t* const* rows, const Taps& taps, uint32_t i, uint8_t* out, size_t bytes) {
  if (bytes < 32) return kScalar.down(rows, taps, i, out, bytes);
  const int32_t* pairs = &taps.pairs[size_t{i} * taps.room];
  for (size_t x = 0; x + 32 <= bytes; x += 32) down_32(rows, pairs, taps.count[i], out, x);
  if (bytes % 32 != 0) down_32(rows, pairs, taps.count[i], out, bytes - 32);  // computes some bytes again
}

const Loops kAvx2 = {"avx2", across, down};

}  // namespace zoo_impl

#endif
