// The part of ONNX Runtime's C API that custom operators use, as of version 17. No header of it ships in any pip wheel; its
// function table only ever grows at the end, and the numbers are positions in that table.
#pragma once

#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <vector>

namespace zoo_ops::ort {

constexpr uint32_t kVersion = 17;  // the first with KernelContext_ParallelFor: ONNX Runtime 1.17

struct Status;
struct SessionOptions;
struct Domain;
struct KernelInfo;
struct Context;
struct Value;
struct ShapeInfo;
struct CustomOp;

struct Base {
  const void* const* (*GetApi)(uint32_t version);  // NULL where the library is older
  const char* (*GetVersionString)();
};

enum ErrorCode : int { kFailed = 1, kInvalidArgument = 2 };
enum ElementType : int { kFloat = 1, kUint8 = 2, kInt8 = 3 };
enum Characteristic : int { kRequired = 0, kOptional = 1 };

// OrtCustomOp up to version 17; members that may be null are.
struct CustomOp {
  uint32_t version;
  void* (*CreateKernel)(const CustomOp*, const void*, const KernelInfo*);
  const char* (*GetName)(const CustomOp*);
  const char* (*GetExecutionProviderType)(const CustomOp*);  // null: the CPU
  ElementType (*GetInputType)(const CustomOp*, size_t);
  size_t (*GetInputTypeCount)(const CustomOp*);
  ElementType (*GetOutputType)(const CustomOp*, size_t);
  size_t (*GetOutputTypeCount)(const CustomOp*);
  void (*KernelCompute)(void*, Context*);
  void (*KernelDestroy)(void*);
  Characteristic (*GetInputCharacteristic)(const CustomOp*, size_t);
  Characteristic (*GetOutputCharacteristic)(const CustomOp*, size_t);
  int (*GetInputMemoryType)(const CustomOp*, size_t);
  int (*GetVariadicInputMinArity)(const CustomOp*);
  int (*GetVariadicInputHomogeneity)(const CustomOp*);
  int (*GetVariadicOutputMinArity)(const CustomOp*);
  int (*GetVariadicOutputHomogeneity)(const CustomOp*);
  Status* (*CreateKernelV2)(const CustomOp*, const void* const*, const KernelInfo*, void**);
  Status* (*KernelComputeV2)(void*, Context*);
  Status* (*InferOutputShapeFn)(const CustomOp*, void*);
  int (*GetStartVersion)(const CustomOp*);
  int (*GetEndVersion)(const CustomOp*);
};

class Api {
 public:
  explicit Api(const void* const* table) : table_(table) {}

  Status* failed(ErrorCode code, const char* why) const { return at<0, Status*(ErrorCode, const char*)>()(code, why); }
  void create_domain(const char* name, Domain** out) const {
    check(at<26, Status*(const char*, Domain**)>()(name, out));
  }
  void add(Domain* domain, const CustomOp* op) const { check(at<27, Status*(Domain*, const CustomOp*)>()(domain, op)); }
  void add(SessionOptions* options, Domain* domain) const {
    check(at<28, Status*(SessionOptions*, Domain*)>()(options, domain));
  }

  void* data(const Value* value) const {
    void* found = nullptr;
    check(at<51, Status*(Value*, void**)>()(const_cast<Value*>(value), &found));
    return found;
  }
  std::vector<int64_t> shape(const Value* value) const {
    ShapeInfo* info = nullptr;
    check(at<65, Status*(const Value*, ShapeInfo**)>()(value, &info));
    size_t rank = 0;
    Status* status = at<61, Status*(const ShapeInfo*, size_t*)>()(info, &rank);
    std::vector<int64_t> found(rank);
    if (status == nullptr) status = at<62, Status*(const ShapeInfo*, int64_t*, size_t)>()(info, found.data(), rank);
    at<99, void(ShapeInfo*)>()(info);
    check(status);
    return found;
  }

  float attribute(const KernelInfo* info, const char* name, float) const {
    float found = 0;
    check(at<85, Status*(const KernelInfo*, const char*, float*)>()(info, name, &found));
    return found;
  }
  int64_t attribute(const KernelInfo* info, const char* name, int64_t) const {
    int64_t found = 0;
    check(at<86, Status*(const KernelInfo*, const char*, int64_t*)>()(info, name, &found));
    return found;
  }
  std::vector<int64_t> attributes(const KernelInfo* info, const char* name) const {
    using Signature = Status*(const KernelInfo*, const char*, int64_t*, size_t*);
    size_t count = 0;
    check(at<163, Signature>()(info, name, nullptr, &count));
    std::vector<int64_t> found(count);
    check(at<163, Signature>()(info, name, found.data(), &count));
    return found;
  }
  // An input that is stored in the graph; null when it is computed.
  const Value* constant(const KernelInfo* info, size_t index) const {
    int is_constant = 0;
    const Value* found = nullptr;
    check(at<249, Status*(const KernelInfo*, size_t, int*, const Value**)>()(info, index, &is_constant, &found));
    return is_constant != 0 ? found : nullptr;
  }

  size_t input_count(const Context* context) const {
    size_t count = 0;
    check(at<88, Status*(const Context*, size_t*)>()(context, &count));
    return count;
  }
  const Value* input(const Context* context, size_t index) const {
    const Value* found = nullptr;
    check(at<90, Status*(const Context*, size_t, const Value**)>()(context, index, &found));
    return found;
  }
  uint8_t* output(Context* context, const std::vector<int64_t>& shape) const {
    Value* found = nullptr;
    check(at<91, Status*(Context*, size_t, const int64_t*, size_t, Value**)>()(context, 0, shape.data(), shape.size(),
                                                                              &found));
    return static_cast<uint8_t*>(data(found));
  }
  // Blocks until all tasks are done. 0: threads take one task after the other.
  void parallel_for(const Context* context, void (*task)(void*, size_t), size_t count, void* self) const {
    check(at<274, Status*(const Context*, void (*)(void*, size_t), size_t, size_t, void*)>()(context, task, count, 0,
                                                                                             self));
  }

  void check(Status* status) const {
    if (status == nullptr) return;
    const std::string why = at<2, const char*(const Status*)>()(status);
    at<93, void(Status*)>()(status);
    throw std::runtime_error(why);
  }

 private:
  template <size_t position, typename Signature>
  Signature* at() const {
    return reinterpret_cast<Signature*>(const_cast<void*>(table_[position]));
  }

  const void* const* table_;
};

}  // namespace zoo_ops::ort
