// Register operations that several AVX2 kernels use.
#pragma once

#include <immintrin.h>

#include <cstdint>
#include <cstring>

namespace zoo_ops {

// The same four bytes (four uint8 values or two int16 values) eight times.
inline __m256i repeat(const void* from) {
  int32_t four;
  std::memcpy(&four, from, sizeof four);
  return _mm256_set1_epi32(four);
}

// sum += addend, as eight int32 additions that stay where they are written: a compiler would move the work of a later
// row in front of this one's. There are too few registers for that, so that it would copy sums around.
inline void accumulate(__m256i& sum, __m256i addend) {
  asm volatile("vpaddd %1, %0, %0" : "+x"(sum) : "x"(addend));
}

}  // namespace zoo_ops
