// Which instructions this CPU has. ZOO_CPU in the environment turns some off, to compare kernels and to find faults:
// "avx2" leaves no AVX-512, "plain" leaves none of these.
#pragma once

#if defined(__x86_64__) && defined(__GNUC__)
#define ZOO_X86 1
#else
#define ZOO_X86 0
#endif

namespace zoo_impl {

struct Cpu {
  bool avx2 = false;
  bool fma = false;     // never without avx2
  bool avx512 = false;  // F, BW, VL and VNNI; never without avx2
  bool sha = false;
};

const Cpu& cpu();

}  // namespace zoo_impl
