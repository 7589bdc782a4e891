// The two inner loops of resizing with AVX-512, to the same bits as the scalar ones. The order of the weights:
// resize.hpp.
#include "resize/resize.hpp"

#if ZOO_X86

// GCC 12 warns of values that its own header leaves undefined on purpose (GCC bug 105593).
#if !defined(__clang__)
#pragma GCC diagnostic ignored "-Wuninitialized"
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif
#include <immintrin.h>

// VNNI multiplies, adds neighbours and adds that up in one instruction.
#define ZOO_AVX512 __attribute__((target("avx512f,avx512bw,avx512vl,avx512vnni")))

namespace zoo_impl {

// high * 2048 + low, rounded.
ZOO_AVX512 static inline __m512i whole(__m512i high, __m512i low) {
  const __m512i half = _mm512_set1_epi32(1 << (kWeightBits - 1));
  return _mm512_srai_epi32(_mm512_add_epi32(_mm512_add_epi32(_mm512_slli_epi32(high, kLowBits), low), half),
                           kWeightBits);
}

// 16 bytes from each of four places.
ZOO_AVX512 static inline __m512i load_four(const void* a, const void* b, const void* c, const void* d) {
  const auto low = _mm256_inserti128_si256(_mm256_castsi128_si256(_mm_loadu_si128(static_cast<const __m128i*>(a))),
                                           _mm_loadu_si128(static_cast<const __m128i*>(b)), 1);
  const auto high = _mm256_inserti128_si256(_mm256_castsi128_si256(_mm_loadu_si128(static_cast<const __m128i*>(c))),
                                            _mm_loadu_si128(static_cast<const __m128i*>(d)), 1);
  return _mm512_inserti64x4(_mm512_castsi256_si512(low), high, 1);
}

ZOO_AVX512 static void across(const uint8_t* in, uint8_t* out, const Taps& taps) {
  // RGB pixels 0 and 1, and 2 and 3, to pairs of 16 bits: r r g g b b - -.
  const __m512i left = _mm512_broadcast_i32x4(_mm_setr_epi8(0, -1, 3, -1, 1, -1, 4, -1, 2, -1, 5, -1, -1, -1, -1, -1));
  const __m512i right =
      _mm512_broadcast_i32x4(_mm_setr_epi8(6, -1, 9, -1, 7, -1, 10, -1, 8, -1, 11, -1, -1, -1, -1, -1));
  // r g b - of outputs 0, 2, 1, 3 to twelve bytes.
  const __m128i close = _mm_setr_epi8(0, 1, 2, 8, 9, 10, 4, 5, 6, 12, 13, 14, -1, -1, -1, -1);
  const int32_t* pairs = taps.pairs.data();
  for (size_t group = 0; group < taps.reach.size(); ++group, out += 12) {
    const uint32_t* start = &taps.start[group * 4];
    const uint8_t *p0 = in + size_t{start[0]} * 3, *p1 = in + size_t{start[1]} * 3, *p2 = in + size_t{start[2]} * 3,
                  *p3 = in + size_t{start[3]} * 3;
    __m512i high = _mm512_setzero_si512(), low = high;
    for (uint32_t x = 0; x < taps.reach[group]; x += 4, pairs += 64) {
      const size_t at = size_t{x} * 3;
      const __m512i all = load_four(p0 + at, p2 + at, p1 + at, p3 + at);
      const __m512i two = _mm512_shuffle_epi8(all, left), more = _mm512_shuffle_epi8(all, right);
      high = _mm512_dpwssd_epi32(high, two, _mm512_loadu_si512(pairs));
      high = _mm512_dpwssd_epi32(high, more, _mm512_loadu_si512(pairs + 16));
      low = _mm512_dpwssd_epi32(low, two, _mm512_loadu_si512(pairs + 32));
      low = _mm512_dpwssd_epi32(low, more, _mm512_loadu_si512(pairs + 48));
    }
    const __m128i bytes = _mm512_cvtusepi32_epi8(whole(high, low));
    _mm_storeu_si128(reinterpret_cast<__m128i*>(out), _mm_shuffle_epi8(bytes, close));
  }
}

ZOO_AVX512 static void down(const uint8_t* const* rows, const Taps& taps, uint32_t i, uint8_t* out, size_t bytes) {
  const uint32_t count = taps.count[i];
  const __m512i zero = _mm512_setzero_si512();
  for (size_t x = 0; x < bytes; x += 64) {
    const __mmask64 kept = bytes - x >= 64 ? ~__mmask64{0} : (__mmask64{1} << (bytes - x)) - 1;
    const int32_t* pairs = &taps.pairs[size_t{i} * taps.room];
    __m512i high0 = zero, high1 = zero, high2 = zero, high3 = zero, low0 = zero, low1 = zero, low2 = zero, low3 = zero;
    for (uint32_t y = 0; y < count; y += 2, pairs += 2) {
      const __m512i a = _mm512_maskz_loadu_epi8(kept, rows[y] + x);
      const __m512i b = _mm512_maskz_loadu_epi8(kept, rows[y + 1 < count ? y + 1 : y] + x);  // its weight is 0 then
      const __m512i upper = _mm512_set1_epi32(pairs[0]), lower = _mm512_set1_epi32(pairs[1]);
      const __m512i left = _mm512_unpacklo_epi8(a, b), right = _mm512_unpackhi_epi8(a, b);
      const __m512i ab0 = _mm512_unpacklo_epi8(left, zero), ab1 = _mm512_unpackhi_epi8(left, zero);
      const __m512i ab2 = _mm512_unpacklo_epi8(right, zero), ab3 = _mm512_unpackhi_epi8(right, zero);
      high0 = _mm512_dpwssd_epi32(high0, ab0, upper);
      high1 = _mm512_dpwssd_epi32(high1, ab1, upper);
      high2 = _mm512_dpwssd_epi32(high2, ab2, upper);
      high3 = _mm512_dpwssd_epi32(high3, ab3, upper);
      low0 = _mm512_dpwssd_epi32(low0, ab0, lower);
      low1 = _mm512_dpwssd_epi32(low1, ab1, lower);
      low2 = _mm512_dpwssd_epi32(low2, ab2, lower);
      low3 = _mm512_dpwssd_epi32(low3, ab3, lower);
    }
    const __m512i words0 = _mm512_packs_epi32(whole(high0, low0), whole(high1, low1));
    const __m512i words1 = _mm512_packs_epi32(whole(high2, low2), whole(high3, low3));
    _mm512_mask_storeu_epi8(out + x, kept, _mm512_packus_epi16(words0, words1));
  }
}

const Loops kAvx512 = {"avx512", across, down};

}  // namespace zoo_impl

#endif
