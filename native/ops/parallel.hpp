// Work in parts, side by side, and memory to do it in.
#pragma once

#include <sys/mman.h>

#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <new>
#include <type_traits>

namespace zoo_ops {

// The threads of whoever calls. `task` is called once with each number below `count`, in any order and from any thread;
// all calls are over when this returns. Tasks throw nothing but std::bad_alloc.
class Parallel {
 public:
  virtual ~Parallel() = default;

  template <typename Task>
  void operator()(size_t count, Task&& task) const {
    run(count, [](void* self, size_t part) { (*static_cast<std::remove_reference_t<Task>*>(self))(part); }, &task);
  }

 private:
  virtual void run(size_t count, void (*task)(void*, size_t), void* self) const = 0;
};

constexpr size_t kAlignment = 64;  // a cache line, and what aligned loads need
constexpr size_t kHugePage = 2 << 20;
constexpr size_t kMuch = 32 << 10;  // bytes that are worth a huge page
constexpr size_t kSlack = 64;  // bytes behind every buffer that may be read or written and mean nothing

struct Free {
  void operator()(void* memory) const { std::free(memory); }
};

// Zeros, aligned.
template <typename T>
class Buffer {
 public:
  Buffer() = default;
  explicit Buffer(size_t count, size_t alignment = kAlignment) {
    const size_t bytes = (count * sizeof(T) + kSlack + alignment - 1) / alignment * alignment;
    memory_.reset(static_cast<T*>(std::aligned_alloc(alignment, bytes)));
    if (memory_ == nullptr) throw std::bad_alloc();
    if (alignment == kHugePage) madvise(memory_.get(), bytes, MADV_HUGEPAGE);  // a wish: nothing depends on it
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

// Memory of this thread that is there until the next call with the same `Use`: no allocation once it has grown. Much of it
// lies in huge pages, because a tile's 36 numbers would be on as many small ones.
template <typename Use>
typename Use::Type* scratch(size_t count) {
  thread_local Buffer<typename Use::Type> kept;
  if (kept.size() < count) {
    kept = {};
    kept = Buffer<typename Use::Type>(count, count * sizeof(typename Use::Type) < kMuch ? kAlignment : kHugePage);
  }
  return kept.data();
}

}  // namespace zoo_ops
