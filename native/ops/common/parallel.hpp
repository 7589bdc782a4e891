// Work in parts that run side by side.
#pragma once

#include <cstddef>
#include <type_traits>

namespace zoo_ops {

// Runs tasks on the caller's threads. `task` is called once with each number below `count`, in any order and from any
// thread; when this returns, all calls have ended. A task may throw std::bad_alloc and nothing else.
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

}  // namespace zoo_ops
