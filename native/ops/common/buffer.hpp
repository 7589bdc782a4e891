// Aligned memory: for weights, and for what a thread needs while it computes.
#pragma once

#include <sys/mman.h>

#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <new>

namespace zoo_ops {

constexpr size_t kAlignment = 64;  // a cache line, and what aligned loads need
constexpr size_t kHugePage = 2 << 20;
constexpr size_t kLarge = 32 << 10;  // a buffer of this many bytes is worth a huge page
constexpr size_t kSlack = 64;        // bytes behind every buffer that kernels may read and write; their content is unused

struct Free {
  void operator()(void* memory) const { std::free(memory); }
};

// `count` zeros at an aligned address.
template <typename T>
class Buffer {
 public:
  Buffer() = default;
  explicit Buffer(size_t count, size_t alignment = kAlignment) {
    const size_t bytes = (count * sizeof(T) + kSlack + alignment - 1) / alignment * alignment;
    memory_.reset(static_cast<T*>(std::aligned_alloc(alignment, bytes)));
    if (memory_ == nullptr) throw std::bad_alloc();
    if (alignment == kHugePage) madvise(memory_.get(), bytes, MADV_HUGEPAGE);  // only a hint: it may be refused
    std::memset(memory_.get(), 0, bytes);
    count_ = count;
  }
  T* data() const { return memory_.get(); }
  size_t size() const { return count_; }
  T& operator[](size_t at) const { return memory_.get()[at]; }

 private:
  std::unique_ptr<T, Free> memory_;
  size_t count_ = 0;
};

// Memory of this thread, valid until its next call with the same `Use`. It only grows, so that nothing is allocated
// once it is large enough. Large memory lies in huge pages: the 36 numbers of a Winograd tile would lie in 36 small
// pages.
template <typename Use>
typename Use::Type* scratch(size_t count) {
  thread_local Buffer<typename Use::Type> kept;
  if (kept.size() < count) {
    kept = {};
    kept = Buffer<typename Use::Type>(count, count * sizeof(typename Use::Type) < kLarge ? kAlignment : kHugePage);
  }
  return kept.data();
}

}  // namespace zoo_ops
