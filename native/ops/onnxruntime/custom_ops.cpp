// The operators of the domain "zoo.int8" (docs/winograd.md) for ONNX Runtime, which loads this library when a program
// calls SessionOptions.register_custom_ops_library. Tensors of levels are uint8 [N, H, W, C].
#include <array>
#include <atomic>
#include <new>
#include <string>

#include "onnxruntime/custom_op.hpp"
#include "ops/kernels.hpp"

namespace {

using zoo_ops::Convolution;
using zoo_ops::Layer;
using zoo_ops::Parallel;
using zoo_ops::Shape;
using zoo_ops::Window;

// A graph or a picture that an operator refuses, and why.
struct Invalid : std::runtime_error {
  using std::runtime_error::runtime_error;
};

void require(bool holds, const char* what) {
  if (!holds) throw Invalid(what);
}

// The threads of the session that runs an operator.
class Pool : public Parallel {
 public:
  Pool(const ort::Api& api, const ort::Context* context) : api_(api), context_(context) {}

 private:
  // A task may run out of memory, and no exception may reach ONNX Runtime's threads.
  void run(size_t count, void (*task)(void*, size_t), void* self) const override {
    struct Job {
      void (*task)(void*, size_t);
      void* self;
      std::atomic<bool> failed{false};
    } job{task, self};
    const auto guarded = [](void* given, size_t part) {
      auto& mine = *static_cast<Job*>(given);
      try {
        mine.task(mine.self, part);
      } catch (const std::bad_alloc&) {
        mine.failed = true;
      }
    };
    api_.parallel_for(context_, guarded, count, &job);
    if (job.failed) throw std::bad_alloc();
  }

  const ort::Api& api_;
  const ort::Context* context_;
};

// The first input of an operator.
struct Pixels {
  Shape shape;
  const uint8_t* data;
};

Pixels pixels(const ort::Api& api, const ort::Context* context) {
  const ort::Value* value = api.input(context, 0);
  const std::vector<int64_t> shape = api.shape(value);
  require(shape.size() == 4, "the input has to be [N, H, W, C]");
  for (const int64_t size : shape) require(size > 0, "the input is empty");
  return {{static_cast<size_t>(shape[0]), static_cast<size_t>(shape[1]), static_cast<size_t>(shape[2]),
           static_cast<size_t>(shape[3])},
          static_cast<const uint8_t*>(api.data(value))};
}

std::vector<int64_t> sizes(size_t n, size_t h, size_t w, size_t c) {
  return {static_cast<int64_t>(n), static_cast<int64_t>(h), static_cast<int64_t>(w), static_cast<int64_t>(c)};
}

size_t size_of(int64_t value, int64_t least, const char* what) {
  require(value >= least && value < 1 << 20, what);
  return static_cast<size_t>(value);
}

uint8_t level_of(int64_t value, const char* what) {
  require(value >= 0 && value <= 255, what);
  return static_cast<uint8_t>(value);
}

Window window_of(const ort::Api& api, const ort::KernelInfo* info, int64_t height, int64_t width) {
  const std::vector<int64_t> strides = api.int_attributes(info, "strides"), pads = api.int_attributes(info, "pads");
  require(strides.size() == 2, "strides has to be two numbers");
  require(pads.size() == 4, "pads has to be four numbers");
  const Window found{size_of(height, 1, "an empty window"),  size_of(width, 1, "an empty window"),
                     size_of(strides[0], 1, "a bad stride"), size_of(strides[1], 1, "a bad stride"),
                     size_of(pads[0], 0, "a bad pad"),       size_of(pads[1], 0, "a bad pad"),
                     size_of(pads[2], 0, "a bad pad"),       size_of(pads[3], 0, "a bad pad")};
  require(found.top < found.height && found.bottom < found.height && found.left < found.width &&
              found.right < found.width,
          "a pad as wide as the window");
  return found;
}

// The output's shape of an operator whose window moves over its input.
std::vector<int64_t> moved(const Window& window, const Shape& in, size_t channels) {
  require(in.height + window.top + window.bottom >= window.height &&
              in.width + window.left + window.right >= window.width,
          "the window is larger than the picture");
  return sizes(in.images, window.rows(in), window.columns(in), channels);
}

class QConv {
 public:
  static constexpr const char* kName = "QConv";
  static constexpr std::array<ort::ElementType, 5> kInputs = {ort::kUint8, ort::kInt8, ort::kFloat, ort::kFloat,
                                                              ort::kUint8};
  static constexpr size_t kOptional = 4;  // the residual

  QConv(const ort::Api& api, const ort::KernelInfo* info) {
    const ort::Value *weights = api.constant(info, 1), *multiplier = api.constant(info, 2),
                     *offset = api.constant(info, 3);
    require(weights != nullptr && multiplier != nullptr && offset != nullptr, "weights have to be stored in the graph");
    const std::vector<int64_t> shape = api.shape(weights);
    require(shape.size() == 4, "weights have to be [out, height, width, in]");
    const auto* values = static_cast<const int8_t*>(api.data(weights));
    for (int64_t at = 0, count = shape[0] * shape[1] * shape[2] * shape[3]; at < count; ++at)
      require(values[at] >= -64 && values[at] <= 64, "weights have to have 7 bits: sums of two products saturate");
    const std::vector<int64_t> row = {shape[0]};
    require(api.shape(multiplier) == row && api.shape(offset) == row, "a multiplier and an offset for each channel");
    const int64_t group = api.int_attribute(info, "group");
    require(group == 1 || (group == shape[0] && shape[3] == 1), "group has to be 1, or the channels of both sides");
    out_ = size_of(shape[0], 1, "no channels");
    in_ = group == 1 ? size_of(shape[3], 1, "no channels") : out_;
    window_ = window_of(api, info, shape[1], shape[2]);
    convolution_ = zoo_ops::kernels().make_convolution(
        {window_, in_, out_, group != 1, values,
         static_cast<const float*>(api.data(multiplier)), static_cast<const float*>(api.data(offset)),
         level_of(api.int_attribute(info, "x_zero"), "x_zero is no level"),
         api.float_attribute(info, "residual_multiplier"),
         level_of(api.int_attribute(info, "low"), "low is no level"),
         level_of(api.int_attribute(info, "high"), "high is no level")});
  }

  void run(const ort::Api& api, ort::Context* context) const {
    const Pixels in = pixels(api, context);
    require(in.shape.channels == in_, "the input has another number of channels than the weights");
    const std::vector<int64_t> shape = moved(window_, in.shape, out_);
    const ort::Value* residual = api.input_count(context) > kOptional ? api.input(context, kOptional) : nullptr;
    require(residual == nullptr || api.shape(residual) == shape, "the residual has another shape than the output");
    convolution_->run(in.data, in.shape,
                      residual == nullptr ? nullptr : static_cast<const uint8_t*>(api.data(residual)),
                      api.output(context, shape), Pool(api, context));
  }

 private:
  Window window_{};
  size_t in_ = 0, out_ = 0;
  std::unique_ptr<Convolution> convolution_;
};

class QMaxPool {
 public:
  static constexpr const char* kName = "QMaxPool";
  static constexpr std::array<ort::ElementType, 1> kInputs = {ort::kUint8};
  static constexpr size_t kOptional = 1;

  QMaxPool(const ort::Api& api, const ort::KernelInfo* info) {
    const std::vector<int64_t> size = api.int_attributes(info, "kernel_shape");
    require(size.size() == 2, "kernel_shape has to be two numbers");
    window_ = window_of(api, info, size[0], size[1]);
  }

  void run(const ort::Api& api, ort::Context* context) const {
    const Pixels in = pixels(api, context);
    uint8_t* out = api.output(context, moved(window_, in.shape, in.shape.channels));
    zoo_ops::kernels().max_pool(in.data, in.shape, window_, out, Pool(api, context));
  }

 private:
  Window window_{};
};

class QMean {
 public:
  static constexpr const char* kName = "QMean";
  static constexpr std::array<ort::ElementType, 1> kInputs = {ort::kUint8};
  static constexpr size_t kOptional = 1;

  QMean(const ort::Api& api, const ort::KernelInfo* info)
      : multiplier_(api.float_attribute(info, "multiplier")), offset_(api.float_attribute(info, "offset")) {}

  void run(const ort::Api& api, ort::Context* context) const {
    const Pixels in = pixels(api, context);
    uint8_t* out = api.output(context, {static_cast<int64_t>(in.shape.images), static_cast<int64_t>(in.shape.channels)});
    zoo_ops::kernels().mean(in.data, in.shape, multiplier_, offset_, out, Pool(api, context));
  }

 private:
  float multiplier_, offset_;
};

class QLevels {
 public:
  static constexpr const char* kName = "QLevels";
  static constexpr std::array<ort::ElementType, 2> kInputs = {ort::kUint8, ort::kUint8};
  static constexpr size_t kOptional = 2;

  QLevels(const ort::Api& api, const ort::KernelInfo* info) {
    const ort::Value* table = api.constant(info, 1);
    require(table != nullptr, "the table has to be stored in the graph");
    const std::vector<int64_t> shape = api.shape(table);
    require(shape.size() == 2 && shape[0] > 0 && shape[1] == 256, "the table has to be [C, 256]");
    const auto* data = static_cast<const uint8_t*>(api.data(table));
    table_.assign(data, data + shape[0] * 256);
  }

  void run(const ort::Api& api, ort::Context* context) const {
    const Pixels in = pixels(api, context);
    const Shape& s = in.shape;
    require(s.channels * 256 == table_.size(), "the input has another number of channels than the table");
    uint8_t* out = api.output(context, sizes(s.images, s.height, s.width, s.channels));
    zoo_ops::kernels().levels(in.data, s, table_.data(), out, Pool(api, context));
  }

 private:
  std::vector<uint8_t> table_;
};

// The functions by which ONNX Runtime uses an operator, made from the class `Kernel` that computes it.
template <typename Kernel>
struct Op : ort::CustomOp {
  struct Made {
    ort::Api api;
    Kernel kernel;
  };

  Op() : ort::CustomOp{} {
    version = ort::kOperatorVersion;
    GetName = [](const ort::CustomOp*) { return Kernel::kName; };
    GetExecutionProviderType = [](const ort::CustomOp*) -> const char* { return nullptr; };
    GetInputType = [](const ort::CustomOp*, size_t at) { return Kernel::kInputs[at]; };
    GetInputTypeCount = [](const ort::CustomOp*) { return Kernel::kInputs.size(); };
    GetOutputType = [](const ort::CustomOp*, size_t) { return ort::kUint8; };
    GetOutputTypeCount = [](const ort::CustomOp*) { return size_t{1}; };
    GetInputCharacteristic = [](const ort::CustomOp*, size_t at) {
      return at < Kernel::kOptional ? ort::kRequired : ort::kOptional;
    };
    GetOutputCharacteristic = [](const ort::CustomOp*, size_t) { return ort::kRequired; };
    GetInputMemoryType = [](const ort::CustomOp*, size_t) { return 0; };
    KernelDestroy = [](void* made) { delete static_cast<Made*>(made); };
    CreateKernelV2 = [](const ort::CustomOp*, const void* const* table, const ort::KernelInfo* info, void** out) {
      const ort::Api api(table);
      return guarded(api, [&] { *out = new Made{api, Kernel(api, info)}; });
    };
    KernelComputeV2 = [](void* made, ort::Context* context) {
      const auto* self = static_cast<const Made*>(made);
      return guarded(self->api, [&] { self->kernel.run(self->api, context); });
    };
  }

  template <typename Work>
  static ort::Status* guarded(const ort::Api& api, Work&& work) noexcept {
    try {
      work();
      return nullptr;
    } catch (const Invalid& problem) {
      return api.failed(ort::kInvalidArgument, (std::string("zoo.int8.") + Kernel::kName + ": " + problem.what()).c_str());
    } catch (const std::exception& problem) {
      return api.failed(ort::kFailed, problem.what());
    }
  }
};

}  // namespace

extern "C" __attribute__((visibility("default"))) ort::Status* RegisterCustomOps(ort::SessionOptions* options,
                                                                                  const ort::Base* base) {
  const ort::Api oldest(base->GetApi(1));  // every version has what an error needs
  if (base->GetApi(ort::kOperatorVersion) == nullptr)
    return oldest.failed(ort::kFailed, "libzoo_ops needs ONNX Runtime 1.17 or newer");
  // Sessions keep pointers to the operators and to the domain: neither is ever freed.
  static const Op<QConv> conv;
  static const Op<QMaxPool> pool;
  static const Op<QMean> mean;
  static const Op<QLevels> levels;
  const ort::Api api(base->GetApi(ort::kOperatorVersion));
  try {
    static ort::Domain* const domain = [&] {
      ort::Domain* made = api.create_domain("zoo.int8");
      for (const ort::CustomOp* op : std::initializer_list<const ort::CustomOp*>{&conv, &pool, &mean, &levels})
        api.add(made, op);
      return made;
    }();
    api.add(options, domain);
    return nullptr;
  } catch (const std::exception& problem) {
    return api.failed(ort::kFailed, problem.what());
  }
}
