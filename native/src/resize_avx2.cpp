// The two inner loops of resizing with AVX2, to the same bits as the plain ones.
//
// A weight has 22 bits and the fast multiply-and-add takes 16: each weight is split into its high and its low 11 bits,
// both parts are summed apart, and high * 2048 + low is the exact sum.
#include <cstring>

#include "cpu.hpp"
#include "resize.hpp"

#if ZOO_X86

#include <immintrin.h>

#define ZOO_AVX2 __attribute__((target("avx2")))

namespace zoo_impl {

constexpr int kLowBits = 11;

ZOO_AVX2 void across_avx2(const uint8_t* in, uint8_t* out, const Taps& taps) {
  // Four RGB pixels of 12 bytes to pairs of 16 bits: r0 r1 g0 g1 b0 b1 - - in the low half, r2 r3 ... in the high one.
  const __m256i pairs = _mm256_setr_epi8(0, -1, 3, -1, 1, -1, 4, -1, 2, -1, 5, -1, -1, -1, -1, -1,  //
                                         6, -1, 9, -1, 7, -1, 10, -1, 8, -1, 11, -1, -1, -1, -1, -1);
  const __m128i half = _mm_set1_epi32(1 << (kWeightBits - 1));
  const uint32_t kept = taps.end - taps.begin;
  for (uint32_t i = 0; i < kept; ++i, out += 3) {
    const uint8_t* pixel = in + size_t{taps.first[i]} * 3;
    const int16_t* weight = &taps.across[size_t{i} * taps.room * 8];
    __m256i high = _mm256_setzero_si256(), low = _mm256_setzero_si256();
    for (uint32_t x = 0; x < taps.count[i]; x += 4, pixel += 12, weight += 32) {
      const __m128i four = _mm_loadu_si128(reinterpret_cast<const __m128i*>(pixel));
      const __m256i wide = _mm256_shuffle_epi8(_mm256_broadcastsi128_si256(four), pairs);
      const __m256i* weights = reinterpret_cast<const __m256i*>(weight);
      high = _mm256_add_epi32(high, _mm256_madd_epi16(wide, _mm256_loadu_si256(weights)));
      low = _mm256_add_epi32(low, _mm256_madd_epi16(wide, _mm256_loadu_si256(weights + 1)));
    }
    const __m128i upper = _mm_add_epi32(_mm256_castsi256_si128(high), _mm256_extracti128_si256(high, 1));
    const __m128i lower = _mm_add_epi32(_mm256_castsi256_si128(low), _mm256_extracti128_si256(low, 1));
    __m128i sum = _mm_add_epi32(_mm_add_epi32(_mm_slli_epi32(upper, kLowBits), lower), half);
    sum = _mm_srai_epi32(sum, kWeightBits);
    sum = _mm_packus_epi16(_mm_packs_epi32(sum, sum), sum);
    const int rgb = _mm_cvtsi128_si32(sum);
    std::memcpy(out, &rgb, 4);  // the fourth byte is the next pixel's, or padding
  }
}

ZOO_AVX2 void down_avx2(const uint8_t* const* rows, const int32_t* weights, uint32_t count, uint8_t* out,
                        size_t bytes) {
  const __m256i half = _mm256_set1_epi32(1 << (kWeightBits - 1));
  size_t x = 0;
  for (; x + 16 <= bytes; x += 16) {
    __m256i high0 = _mm256_setzero_si256(), high1 = high0, low0 = high0, low1 = high0;
    for (uint32_t y = 0; y < count; y += 2) {
      const bool two = y + 1 < count;
      const int32_t a = weights[y], b = two ? weights[y + 1] : 0;
      const __m256i upper = _mm256_set1_epi32((b >> kLowBits) << 16 | a >> kLowBits);
      const __m256i lower = _mm256_set1_epi32((b & 2047) << 16 | (a & 2047));
      const __m128i first = _mm_loadu_si128(reinterpret_cast<const __m128i*>(rows[y] + x));
      const __m128i second = _mm_loadu_si128(reinterpret_cast<const __m128i*>(rows[two ? y + 1 : y] + x));
      const __m256i left = _mm256_cvtepu8_epi16(_mm_unpacklo_epi8(first, second));
      const __m256i right = _mm256_cvtepu8_epi16(_mm_unpackhi_epi8(first, second));
      high0 = _mm256_add_epi32(high0, _mm256_madd_epi16(left, upper));
      high1 = _mm256_add_epi32(high1, _mm256_madd_epi16(right, upper));
      low0 = _mm256_add_epi32(low0, _mm256_madd_epi16(left, lower));
      low1 = _mm256_add_epi32(low1, _mm256_madd_epi16(right, lower));
    }
    __m256i sum0 = _mm256_add_epi32(_mm256_add_epi32(_mm256_slli_epi32(high0, kLowBits), low0), half);
    __m256i sum1 = _mm256_add_epi32(_mm256_add_epi32(_mm256_slli_epi32(high1, kLowBits), low1), half);
    sum0 = _mm256_srai_epi32(sum0, kWeightBits);
    sum1 = _mm256_srai_epi32(sum1, kWeightBits);
    // Packing works within each half of a register: the four groups of four come out as 0 2 1 3.
    const __m256i words = _mm256_permute4x64_epi64(_mm256_packs_epi32(sum0, sum1), 0xD8);
    const __m128i packed = _mm_packus_epi16(_mm256_castsi256_si128(words), _mm256_extracti128_si256(words, 1));
    _mm_storeu_si128(reinterpret_cast<__m128i*>(out + x), packed);
  }
  for (; x < bytes; ++x) {
    int64_t sum = 1 << (kWeightBits - 1);
    for (uint32_t y = 0; y < count; ++y) sum += rows[y][x] * weights[y];
    const int64_t value = sum >> kWeightBits;
    out[x] = static_cast<uint8_t>(value < 255 ? value : 255);
  }
}

}  // namespace zoo_impl

#else  // never called: cpu().avx2 is false

namespace zoo_impl {
void across_avx2(const uint8_t* in, uint8_t* out, const Taps& taps) { across_plain(in, out, taps); }
void down_avx2(const uint8_t* const* rows, const int32_t* weights, uint32_t count, uint8_t* out, size_t bytes) {
  down_plain(rows, weights, count, out, bytes);
}
}  // namespace zoo_impl

#endif
