// Which instructions this CPU has. ZOO_CPU=plain in the environment turns them off, to compare and to find faults.
#pragma once

#if defined(__x86_64__) && defined(__GNUC__)
#define ZOO_X86 1
#else
#define ZOO_X86 0
#endif

namespace zoo_impl {

struct Cpu {
  bool avx2 = false;
  bool sha = false;
};

const Cpu& cpu();

}  // namespace zoo_impl
