// zoo.hpp: zoo.h for C++17, in one header. Nothing here throws but Result::value() on an error, and std::bad_alloc.
//
//   auto model = zoo::load("flowers.zoo").value();
//   auto prediction = model.predict("tulip.jpg").value();
//   for (auto [label, score] : prediction.top(3)) std::cout << label << ' ' << score << '\n';
//
// Model may be shared by any number of threads. Context is for one thread; Model::predict borrows one from a small
// pool.
#ifndef ZOO_ZOO_HPP
#define ZOO_ZOO_HPP

#include <zoo/zoo.h>

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <initializer_list>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <string>
#include <utility>
#include <variant>
#include <vector>

namespace zoo {

// What went wrong: a status to act on and a line to print.
struct Error {
  zoo_status status = ZOO_E_INTERNAL;
  std::string text;
};

// A value or an Error. Test it, then take the value; value() on an error throws std::runtime_error, or ends a program
// that was compiled without exceptions.
template <typename T>
class [[nodiscard]] Result {
 public:
  Result(T value) : state_(std::move(value)) {}
  Result(Error error) : state_(std::move(error)) {}

  explicit operator bool() const noexcept { return state_.index() == 0; }
  T& operator*() & noexcept { return *std::get_if<0>(&state_); }
  const T& operator*() const& noexcept { return *std::get_if<0>(&state_); }
  T* operator->() noexcept { return std::get_if<0>(&state_); }
  const T* operator->() const noexcept { return std::get_if<0>(&state_); }
  const Error& error() const noexcept { return *std::get_if<1>(&state_); }

  T& value() & { return check(), **this; }
  T value() && { return check(), std::move(**this); }

 private:
  void check() const {
    if (*this) return;
#if defined(__cpp_exceptions)
    throw std::runtime_error(error().text);
#else
    std::abort();
#endif
  }
  std::variant<T, Error> state_;
};

// A non-owning view of contiguous elements, like std::span, which C++17 does not have.
template <typename T>
class View {
 public:
  View() = default;
  View(T* data, size_t size) : data_(data), size_(size) {}
  template <typename Container, typename = decltype(std::declval<Container&>().data())>
  View(Container& container) : data_(container.data()), size_(container.size()) {}

  T* data() const noexcept { return data_; }
  size_t size() const noexcept { return size_; }
  T& operator[](size_t index) const noexcept { return data_[index]; }
  T* begin() const noexcept { return data_; }
  T* end() const noexcept { return data_ + size_; }

 private:
  T* data_ = nullptr;
  size_t size_ = 0;
};

struct Ranked {
  std::string label;
  float score;
};

struct Point {
  std::string name;
  float x, y;  // pixels of the upright picture, the centre of its first pixel at 0, 0
};

// The prediction for one picture. It owns its members.
struct Prediction {
  zoo_task task = ZOO_CLASSIFICATION;
  std::vector<std::string> labels;
  std::vector<float> scores;  // in label order; empty for keypoints
  std::vector<Point> points;  // of keypoints

  // The `count` best labels, best first.
  std::vector<Ranked> top(uint32_t count) const {
    zoo_prediction given = ZOO_INIT(zoo_prediction);
    given.scores = scores.empty() ? nullptr : scores.data();
    given.count = static_cast<uint32_t>(scores.size());
    std::vector<uint32_t> order(count);
    order.resize(zoo_prediction_top(&given, order.data(), count));
    std::vector<Ranked> out;
    for (uint32_t index : order) out.push_back({labels[index], scores[index]});
    return out;
  }
};

// Options of zoo::load; empty text and 0 mean the library's own choice.
struct Options {
  std::string backend, precision, device, backend_path, runtime_library;
  int threads = 0;
  bool verify_all = false;
};

namespace detail {

struct Free {
  void operator()(zoo_model* model) const noexcept { zoo_model_free(model); }
  void operator()(zoo_context* context) const noexcept { zoo_context_free(context); }
};

inline const char* or_null(const std::string& text) { return text.empty() ? nullptr : text.c_str(); }

inline zoo_tensor tensor(const void* data, size_t size, zoo_dtype dtype, std::initializer_list<int64_t> shape) {
  zoo_tensor out = ZOO_INIT(zoo_tensor);
  out.data = const_cast<void*>(data);
  out.size = size;
  out.dtype = dtype;
  for (int64_t extent : shape) out.shape[out.rank++] = extent;
  return out;
}

}  // namespace detail

// What one thread needs to run a model. Move-only.
class Context {
 public:
  // uint8 [count, height, width, 3] in, float32 [count, outputs] out; both borrowed.
  Result<std::monostate> run(View<const uint8_t> images, int64_t count, View<float> logits) {
    zoo_model_info info = ZOO_INIT(zoo_model_info);
    if (zoo_model_describe(model_.get(), &info, nullptr) != ZOO_OK) return Error{ZOO_E_INTERNAL, "no model"};
    const zoo_tensor in = detail::tensor(images.data(), images.size(), ZOO_UINT8, {count, info.height, info.width, 3});
    zoo_tensor out = detail::tensor(logits.data(), logits.size() * sizeof(float), ZOO_FLOAT32, {count, info.outputs});
    zoo_error error = ZOO_INIT(zoo_error);
    const zoo_status status = zoo_run(handle_.get(), &in, &out, &error);
    if (status != ZOO_OK) return Error{status, error.text};
    return std::monostate{};
  }

  // A file, the bytes of a JPEG or PNG, or pixels [height][width][3].
  Result<Prediction> predict(const std::string& path) {
    return predicted([&](zoo_prediction* p, zoo_error* e) { return zoo_predict_file(handle_.get(), path.c_str(), p, e); });
  }
  Result<Prediction> predict(View<const unsigned char> bytes) {
    zoo_picture picture = ZOO_INIT(zoo_picture);
    picture.data = bytes.data();
    picture.size = bytes.size();
    return predicted([&](zoo_prediction* p, zoo_error* e) { return zoo_predict(handle_.get(), &picture, p, e); });
  }
  Result<Prediction> predict(View<const uint8_t> pixels, uint32_t width, uint32_t height) {
    zoo_picture picture = ZOO_INIT(zoo_picture);
    picture.data = pixels.data();
    picture.size = pixels.size();
    picture.encoding = ZOO_RGB;
    picture.width = width;
    picture.height = height;
    return predicted([&](zoo_prediction* p, zoo_error* e) { return zoo_predict(handle_.get(), &picture, p, e); });
  }

  zoo_context* get() const noexcept { return handle_.get(); }

 private:
  friend class Model;
  Context(std::shared_ptr<zoo_model> model, zoo_context* handle) : model_(std::move(model)), handle_(handle) {}

  template <typename Call>
  Result<Prediction> predicted(Call&& call) {
    zoo_prediction found = ZOO_INIT(zoo_prediction);
    zoo_error error = ZOO_INIT(zoo_error);
    const zoo_status status = call(&found, &error);
    if (status != ZOO_OK) return Error{status, error.text};
    Prediction out;
    out.task = found.task;
    for (uint32_t i = 0; i < found.count; ++i) out.labels.emplace_back(zoo_model_label(model_.get(), i));
    if (found.scores != nullptr) out.scores.assign(found.scores, found.scores + found.count);
    for (uint32_t i = 0; found.points != nullptr && i < found.count; ++i)
      out.points.push_back({out.labels[i], found.points[2 * i], found.points[2 * i + 1]});
    return out;
  }

  std::shared_ptr<zoo_model> model_;
  std::unique_ptr<zoo_context, detail::Free> handle_;
};

// A bundle's graph, loaded. Share one between threads; move-only.
class Model {
 public:
  zoo_model_info info() const {
    zoo_model_info info = ZOO_INIT(zoo_model_info);
    zoo_model_describe(model_.get(), &info, nullptr);
    return info;
  }

  std::vector<std::string> labels() const {
    std::vector<std::string> out;
    for (uint32_t i = 0; const char* label = zoo_model_label(model_.get(), i); ++i) out.emplace_back(label);
    return out;
  }

  Result<zoo_selftest> selftest() const {
    zoo_selftest report = ZOO_INIT(zoo_selftest);
    zoo_error error = ZOO_INIT(zoo_error);
    const zoo_status status = zoo_model_selftest(model_.get(), &report, &error);
    if (status != ZOO_OK) return Error{status, error.text};
    return report;
  }

  Result<Context> context() const {
    zoo_context* made = nullptr;
    zoo_error error = ZOO_INIT(zoo_error);
    const zoo_status status = zoo_context_create(model_.get(), &made, &error);
    if (status != ZOO_OK) return Error{status, error.text};
    return Context(model_, made);
  }

  // As Context::predict, from any thread: it borrows a context from a pool of those that earlier calls made.
  template <typename... Arguments>
  Result<Prediction> predict(Arguments&&... arguments) const {
    std::unique_ptr<Context> mine = idle_->take();
    if (mine == nullptr) {
      Result<Context> made = context();
      if (!made) return made.error();
      mine = std::make_unique<Context>(std::move(*made));
    }
    Result<Prediction> prediction = mine->predict(std::forward<Arguments>(arguments)...);
    idle_->put(std::move(mine));
    return prediction;
  }

  zoo_model* get() const noexcept { return model_.get(); }

 private:
  friend Result<Model> load(const std::string&, const Options&);
  explicit Model(zoo_model* handle) : model_(handle, detail::Free{}), idle_(std::make_unique<Pool>()) {}

  class Pool {
   public:
    std::unique_ptr<Context> take() {
      const std::lock_guard<std::mutex> lock(mutex_);
      if (contexts_.empty()) return nullptr;
      std::unique_ptr<Context> last = std::move(contexts_.back());
      contexts_.pop_back();
      return last;
    }
    void put(std::unique_ptr<Context> context) {
      const std::lock_guard<std::mutex> lock(mutex_);
      contexts_.push_back(std::move(context));
    }

   private:
    std::mutex mutex_;
    std::vector<std::unique_ptr<Context>> contexts_;
  };

  std::shared_ptr<zoo_model> model_;
  std::unique_ptr<Pool> idle_;
};

// Open a bundle.
inline Result<Model> load(const std::string& bundle, const Options& options = {}) {
  zoo_options given = ZOO_INIT(zoo_options);
  given.backend = detail::or_null(options.backend);
  given.precision = detail::or_null(options.precision);
  given.device = detail::or_null(options.device);
  given.threads = options.threads;
  given.verify = options.verify_all ? ZOO_VERIFY_ALL : ZOO_VERIFY_USED;
  given.backend_path = detail::or_null(options.backend_path);
  given.runtime_library = detail::or_null(options.runtime_library);
  zoo_model* model = nullptr;
  zoo_error error = ZOO_INIT(zoo_error);
  const zoo_status status = zoo_model_open(bundle.c_str(), &given, &model, &error);
  if (status != ZOO_OK) return Error{status, error.text};
  return Model(model);
}

}  // namespace zoo

#endif  // ZOO_ZOO_HPP
