// The C interface of zoo.h: checks arguments, turns exceptions into statuses, lets one thread at a time use a handle.
#include <algorithm>
#include <cstring>
#include <new>

#include "base/failure.hpp"
#include "model/model.hpp"
#include "api/sized.hpp"

using namespace zoo_impl;

struct zoo_model {
  std::shared_ptr<const Model> shared;
};

struct zoo_context {
  Context context;
};

struct zoo_framer {
  Preprocessor preprocessor;
  std::atomic_flag busy = ATOMIC_FLAG_INIT;
};

namespace {

// Run `work`; whatever it throws becomes a status and one line.
template <typename Work>
zoo_status guarded(zoo_error* error, Work&& work) noexcept {
  say(error, "");
  try {
    work();
    return ZOO_OK;
  } catch (const Failure& failure) {
    say(error, failure.what());
    return failure.status;
  } catch (const std::bad_alloc&) {
    say(error, "out of memory");
    return ZOO_E_MEMORY;
  } catch (const std::exception& other) {
    say(error, other.what());
    return ZOO_E_INTERNAL;
  } catch (...) {
    say(error, "an unknown exception");
    return ZOO_E_INTERNAL;
  }
}

template <typename Pointer>
Pointer needed(Pointer pointer, const char* name) {
  if (pointer == nullptr) throw Failure(ZOO_E_ARGUMENT, std::string(name) + " is NULL");
  return pointer;
}

// Marks a handle as in use for as long as it lives. Throws ZOO_E_BUSY while another thread uses the handle.
class Busy {
 public:
  explicit Busy(std::atomic_flag& flag) : flag_(flag) {
    if (flag_.test_and_set(std::memory_order_acquire))
      throw Failure(ZOO_E_BUSY, "another thread is using this handle: give each thread its own");
  }
  ~Busy() { flag_.clear(std::memory_order_release); }
  Busy(const Busy&) = delete;
  Busy& operator=(const Busy&) = delete;

 private:
  std::atomic_flag& flag_;
};

zoo_options options_or_default(const zoo_options* options) {
  if (options != nullptr) return taken(options, "options");
  return ZOO_INIT(zoo_options);
}

// Check that `tensor` is a dense array of `dtype` whose extents after the first ones are `inner`, and large enough.
// Returns the product of the extents before `inner`.
int64_t checked(const zoo_tensor& tensor, const char* name, zoo_dtype dtype, uint32_t outer,
                std::initializer_list<int64_t> inner) {
  const std::string text = name;
  const size_t item = dtype == ZOO_UINT8 ? 1 : 4;
  if (tensor.data == nullptr) throw Failure(ZOO_E_ARGUMENT, text + ".data is NULL");
  if (reinterpret_cast<uintptr_t>(tensor.data) % item != 0) throw Failure(ZOO_E_SHAPE, text + ".data is not aligned");
  if (tensor.dtype != dtype)
    throw Failure(ZOO_E_SHAPE, text + " must be " + (dtype == ZOO_UINT8 ? "uint8" : "float32"));
  const size_t most = outer + inner.size();
  if (tensor.rank > ZOO_MAX_RANK || tensor.rank > most || tensor.rank < inner.size())
    throw Failure(ZOO_E_SHAPE, text + " must have " + std::to_string(most) + " dimensions");
  const uint32_t leading = tensor.rank - static_cast<uint32_t>(inner.size());
  if (!std::equal(inner.begin(), inner.end(), tensor.shape + leading)) {
    std::string wanted;
    for (int64_t extent : inner) wanted += ", " + std::to_string(extent);
    throw Failure(ZOO_E_SHAPE, text + " must be [N" + wanted + "]");
  }
  const int64_t count = leading == 0 ? 1 : tensor.shape[0];
  if (count < 1) throw Failure(ZOO_E_SHAPE, text + " must hold at least one row");
  size_t each = item;  // cannot overflow: the extents are within the limits of a manifest or of zoo_framer_read
  for (int64_t extent : inner) each *= static_cast<size_t>(extent);
  if (static_cast<uint64_t>(count) > tensor.size / each)
    throw Failure(ZOO_E_SHAPE, text + ".size is smaller than its shape");
  const bool dense = std::all_of(tensor.stride, tensor.stride + ZOO_MAX_RANK, [](int64_t s) { return s == 0; });
  int64_t step = static_cast<int64_t>(item);
  for (uint32_t i = tensor.rank; !dense && i-- > 0; step *= tensor.shape[i])
    if (tensor.stride[i] != step) throw Failure(ZOO_E_SHAPE, text + " must be dense: rows without gaps");
  return count;
}

zoo_extent extent_of(Extent extent) {
  zoo_extent out = ZOO_INIT(zoo_extent);
  out.width = extent.width;
  out.height = extent.height;
  return out;
}

void preprocess(Preprocessor& preprocessor, const Preprocessing& preprocessing, const zoo_picture* picture,
                zoo_tensor* out, zoo_extent* extent) {
  const zoo_picture given = taken(picture, "picture");
  const zoo_tensor where = taken(out, "out");
  if (extent != nullptr) taken(extent, "extent");  // checked before the work is done
  const int64_t count = checked(where, "out", ZOO_UINT8, 1, {preprocessing.height, preprocessing.width, 3});
  if (count != 1) throw Failure(ZOO_E_SHAPE, "out must hold one picture");
  const Extent found = preprocessor.read(given, preprocessing, static_cast<uint8_t*>(where.data));
  if (extent != nullptr) give(extent, extent_of(found), "extent");
}

zoo_picture encoded(const void* bytes, size_t size, zoo_encoding encoding) {
  zoo_picture picture = ZOO_INIT(zoo_picture);
  picture.data = bytes;
  picture.size = size;
  picture.encoding = encoding;
  return picture;
}

constexpr uint64_t kLargestPicture = uint64_t{1} << 30;  // bytes of a file

}  // namespace

extern "C" {

zoo_status zoo_backends_visit(const zoo_options* options, zoo_backend_visitor visit, void* user, zoo_error* error) {
  return guarded(error, [&] {
    needed(visit, "visit");
    const zoo_options chosen = options_or_default(options);
    zoo_backend_request request = ZOO_INIT(zoo_backend_request);
    request.precision = chosen.precision == nullptr ? "fp32" : chosen.precision;
    request.device = chosen.device == nullptr ? "cpu" : chosen.device;
    request.threads = std::max(chosen.threads, 1);
    request.runtime_library = chosen.runtime_library;
    for (const Candidate& candidate : candidates(chosen, request)) {
      zoo_backend_info info = ZOO_INIT(zoo_backend_info);
      info.name = candidate.name.c_str();
      info.file = candidate.file.c_str();
      info.score = candidate.score;
      info.reason = candidate.reason.c_str();
      visit(user, &info);
    }
  });
}

zoo_status zoo_model_open(const char* bundle, const zoo_options* options, zoo_model** model, zoo_error* error) {
  return guarded(error, [&] {
    *needed(model, "model") = nullptr;
    auto shared = std::make_shared<const Model>(needed(bundle, "bundle"), options_or_default(options));
    *model = new zoo_model{std::move(shared)};
  });
}

void zoo_model_free(zoo_model* model) { delete model; }

zoo_status zoo_model_describe(const zoo_model* model, zoo_model_info* info, zoo_error* error) {
  return guarded(error, [&] { give(info, needed(model, "model")->shared->info(), "info"); });
}

const char* zoo_model_label(const zoo_model* model, uint32_t index) {
  if (model == nullptr || index >= model->shared->bundle().labels().size()) return nullptr;
  return model->shared->bundle().labels()[index].c_str();
}

zoo_status zoo_model_selftest(const zoo_model* model, zoo_selftest* report, zoo_error* error) {
  return guarded(error, [&] {
    needed(model, "model");
    if (report != nullptr) taken(report, "report");
    const zoo_selftest found = model->shared->selftest();
    if (report != nullptr) give(report, found, "report");
    if (!(found.difference <= found.tolerance)) {
      const zoo_model_info info = model->shared->info();
      throw Failure(ZOO_E_SELFTEST, std::string("the self-test of ") + info.precision + " failed on " + info.backend +
                                        ": largest difference " + std::to_string(found.difference) + " of " +
                                        std::to_string(found.tolerance) + " allowed");
    }
  });
}

zoo_status zoo_context_create(const zoo_model* model, zoo_context** context, zoo_error* error) {
  return guarded(error, [&] {
    *needed(context, "context") = nullptr;
    *context = new zoo_context{Context(needed(model, "model")->shared)};
  });
}

void zoo_context_free(zoo_context* context) { delete context; }

zoo_status zoo_run(zoo_context* context, const zoo_tensor* in, zoo_tensor* out, zoo_error* error) {
  return guarded(error, [&] {
    Busy busy(needed(context, "context")->context.busy);
    Context& mine = context->context;
    const Manifest& manifest = mine.model().manifest();
    const zoo_tensor images = taken(in, "in"), logits = taken(out, "out");
    const int64_t count = checked(images, "in", ZOO_UINT8, 1, {manifest.height, manifest.width, 3});
    if (checked(logits, "out", ZOO_FLOAT32, 1, {manifest.outputs}) != count)
      throw Failure(ZOO_E_SHAPE, "in and out differ in their first extent");
    mine.run(static_cast<const uint8_t*>(images.data), count, static_cast<float*>(logits.data));
  });
}

zoo_status zoo_preprocess(zoo_context* context, const zoo_picture* picture, zoo_tensor* out, zoo_extent* extent,
                          zoo_error* error) {
  return guarded(error, [&] {
    Busy busy(needed(context, "context")->context.busy);
    preprocess(context->context.preprocessor, context->context.model().preprocessing(), picture, out, extent);
  });
}

zoo_status zoo_framer_create(zoo_framer** framer, zoo_error* error) {
  return guarded(error, [&] {
    needed(framer, "framer");  // checked before anything is allocated
    *framer = new zoo_framer;
  });
}

void zoo_framer_free(zoo_framer* framer) { delete framer; }

zoo_status zoo_framer_read(zoo_framer* framer, const zoo_framing* framing, const zoo_picture* picture, zoo_tensor* out,
                           zoo_extent* extent, zoo_error* error) {
  return guarded(error, [&] {
    Busy busy(needed(framer, "framer")->busy);
    const zoo_framing given = taken(framing, "framing");
    constexpr uint32_t kLargest = 1 << 14;
    for (uint32_t side : {given.resize, given.height, given.width})
      if (side == 0 || side > kLargest) throw Failure(ZOO_E_ARGUMENT, "framing: sides must be from 1 to 16384 pixels");
    preprocess(framer->preprocessor, {given.resize, given.height, given.width}, picture, out, extent);
  });
}

zoo_status zoo_predict(zoo_context* context, const zoo_picture* picture, zoo_prediction* prediction,
                       zoo_error* error) {
  return guarded(error, [&] {
    Busy busy(needed(context, "context")->context.busy);
    const zoo_picture given = taken(picture, "picture");
    taken(prediction, "prediction");
    give(prediction, context->context.predict(given), "prediction");
  });
}

zoo_status zoo_predict_file(zoo_context* context, const char* path, zoo_prediction* prediction, zoo_error* error) {
  zoo_picture picture = ZOO_INIT(zoo_picture);
  Bytes bytes;
  const zoo_status status = guarded(error, [&] {
    needed(context, "context");
    bytes = read_file(needed(path, "path"), kLargestPicture);
    picture = encoded(bytes.data(), bytes.size(), ZOO_ENCODED);
    if (bytes.empty()) throw Failure(ZOO_E_FORMAT, std::string(path) + " is empty");
  });
  return status == ZOO_OK ? zoo_predict(context, &picture, prediction, error) : status;
}

zoo_status zoo_predict_jpeg(zoo_context* context, const void* bytes, size_t size, zoo_prediction* prediction,
                            zoo_error* error) {
  const zoo_picture picture = encoded(bytes, size, ZOO_JPEG);
  return zoo_predict(context, &picture, prediction, error);
}

zoo_status zoo_predict_png(zoo_context* context, const void* bytes, size_t size, zoo_prediction* prediction,
                           zoo_error* error) {
  const zoo_picture picture = encoded(bytes, size, ZOO_PNG);
  return zoo_predict(context, &picture, prediction, error);
}

zoo_status zoo_predict_rgb(zoo_context* context, const uint8_t* pixels, uint32_t width, uint32_t height, int64_t stride,
                           zoo_prediction* prediction, zoo_error* error) {
  zoo_picture picture = encoded(pixels, SIZE_MAX, ZOO_RGB);  // only the caller knows how much memory there is
  picture.width = width;
  picture.height = height;
  picture.stride = stride;
  return zoo_predict(context, &picture, prediction, error);
}

uint32_t zoo_prediction_top(const zoo_prediction* prediction, uint32_t* indices, uint32_t count) {
  if (prediction == nullptr || indices == nullptr || prediction->struct_size < offsetof(zoo_prediction, points) ||
      prediction->scores == nullptr)
    return 0;
  const float* scores = prediction->scores;
  // Each index is inserted into the best so far: this needs no memory, and equal scores stay in label order.
  uint32_t have = 0;
  for (uint32_t i = 0; i < prediction->count; ++i) {
    uint32_t at = have;
    while (at > 0 && scores[indices[at - 1]] < scores[i]) --at;
    if (at >= count) continue;
    have = std::min(have + 1, count);
    std::copy_backward(indices + at, indices + have - 1, indices + have);
    indices[at] = i;
  }
  return have;
}

}  // extern "C"
