// The part of ONNX Runtime's C API that libzoo's plug-ins and its operators use. No pip wheel ships the header of that
// API. It is a table of functions that only ever grows at its end, and a library returns a table for GetApi(n) if it
// has everything that version n had. The numbers here are positions in that table.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

namespace ort {

constexpr uint32_t kSessionVersion = 16;   // ONNX Runtime 1.16 has all that a session needs
constexpr uint32_t kOperatorVersion = 17;  // 1.17 is the first with KernelContext_ParallelFor

// Objects of ONNX Runtime; only pointers to them exist here.
struct Context;
struct CudaOptions;
struct CustomOp;  // onnxruntime/custom_op.hpp
struct Domain;
struct Env;
struct KernelInfo;
struct MemoryInfo;
struct Session;
struct SessionOptions;
struct ShapeInfo;
struct Status;
struct Value;

// What OrtGetApiBase returns.
struct Base {
  const void* const* (*GetApi)(uint32_t version);  // NULL where the library is older
  const char* (*GetVersionString)();
};

enum AllocatorType : int { kDeviceAllocator = 0 };
enum ElementType : int { kFloat = 1, kUint8 = 2, kInt8 = 3 };
enum ErrorCode : int { kFailed = 1, kInvalidArgument = 2 };
enum LogLevel : int { kErrors = 3 };
enum MemoryType : int { kDefaultMemory = 0 };

// A table of functions. Each method throws std::runtime_error with ONNX Runtime's own message when its function fails.
class Api {
 public:
  Api() = default;
  explicit Api(const void* const* table) : table_(table) {}
  explicit operator bool() const { return table_ != nullptr; }

  // Frees an object with the function that ONNX Runtime has for its type.
  struct Release {
    const void* const* table = nullptr;
    template <typename Object>
    void operator()(Object* object) const { Api(table).release(object); }
  };
  template <typename Object>
  using Owned = std::unique_ptr<Object, Release>;
  template <typename Object>
  Owned<Object> owned(Object* object) const { return Owned<Object>(object, Release{table_}); }

  // ---- status
  Status* failed(ErrorCode code, const char* why) const { return at<0, Status*(ErrorCode, const char*)>()(code, why); }
  void check(Status* status) const {
    if (status == nullptr) return;
    const Owned<Status> freed = owned(status);
    throw std::runtime_error(at<2, const char*(const Status*)>()(status));
  }

  // ---- sessions
  Owned<Env> create_env(LogLevel level, const char* id) const { return made<Env, 3, LogLevel, const char*>(level, id); }
  void disable_telemetry(const Env* env) const { call<6, const Env*>(env); }
  Owned<SessionOptions> create_options() const { return made<SessionOptions, 10>(); }
  void set_log_level(SessionOptions* options, int level) const { call<22, SessionOptions*, int>(options, level); }
  void set_intra_threads(SessionOptions* options, int count) const { call<24, SessionOptions*, int>(options, count); }
  void set_inter_threads(SessionOptions* options, int count) const { call<25, SessionOptions*, int>(options, count); }
  void set_config(SessionOptions* options, const char* key, const char* value) const {
    call<130, SessionOptions*, const char*, const char*>(options, key, value);
  }
  // The execution providers that this library was built with.
  std::vector<std::string> providers() const {
    char** names = nullptr;
    int count = 0;
    call<125, char***, int*>(&names, &count);
    const std::vector<std::string> found(names, names + count);
    call<126, char**, int>(names, count);
    return found;
  }
  Owned<CudaOptions> create_cuda_options() const { return made<CudaOptions, 205>(); }
  void update_cuda_options(CudaOptions* options, const char* const* keys, const char* const* values,
                           size_t count) const {
    call<206, CudaOptions*, const char* const*, const char* const*, size_t>(options, keys, values, count);
  }
  void append_cuda(SessionOptions* options, const CudaOptions* cuda) const {
    call<204, SessionOptions*, const CudaOptions*>(options, cuda);
  }
  // `graph`: the bytes of an ONNX file.
  Owned<Session> create_session(const Env* env, const void* graph, size_t size, const SessionOptions* options) const {
    return made<Session, 8, const Env*, const void*, size_t, const SessionOptions*>(env, graph, size, options);
  }
  void run(Session* session, const char* input, const Value* given, const char* output, Value* wanted) const {
    call<9, Session*, const void*, const char* const*, const Value* const*, size_t, const char* const*, size_t, Value**>(
        session, nullptr, &input, &given, 1, &output, 1, &wanted);
  }

  // ---- tensors
  Owned<MemoryInfo> create_cpu_memory(AllocatorType allocator, MemoryType memory) const {
    return made<MemoryInfo, 69, AllocatorType, MemoryType>(allocator, memory);
  }
  // A tensor on `data`, which it does not own. `size`: bytes.
  Owned<Value> create_tensor(const MemoryInfo* memory, void* data, size_t size, const int64_t* shape, size_t rank,
                             ElementType type) const {
    return made<Value, 49, const MemoryInfo*, void*, size_t, const int64_t*, size_t, ElementType>(memory, data, size,
                                                                                                 shape, rank, type);
  }
  void* data(const Value* value) const {
    void* found = nullptr;
    call<51, Value*, void**>(const_cast<Value*>(value), &found);
    return found;
  }
  std::vector<int64_t> shape(const Value* value) const {
    const Owned<ShapeInfo> info = made<ShapeInfo, 65, const Value*>(value);
    size_t rank = 0;
    call<61, const ShapeInfo*, size_t*>(info.get(), &rank);
    std::vector<int64_t> found(rank);
    call<62, const ShapeInfo*, int64_t*, size_t>(info.get(), found.data(), rank);
    return found;
  }

  // ---- operators: registering them
  // The domain belongs to the caller and has to live as long as the sessions that use it.
  Domain* create_domain(const char* name) const {
    Domain* found = nullptr;
    call<26, const char*, Domain**>(name, &found);
    return found;
  }
  void add(Domain* domain, const CustomOp* op) const { call<27, Domain*, const CustomOp*>(domain, op); }
  void add(SessionOptions* options, Domain* domain) const { call<28, SessionOptions*, Domain*>(options, domain); }

  // ---- operators: their attributes and stored inputs
  float float_attribute(const KernelInfo* info, const char* name) const {
    float found = 0;
    call<85, const KernelInfo*, const char*, float*>(info, name, &found);
    return found;
  }
  int64_t int_attribute(const KernelInfo* info, const char* name) const {
    int64_t found = 0;
    call<86, const KernelInfo*, const char*, int64_t*>(info, name, &found);
    return found;
  }
  std::vector<int64_t> int_attributes(const KernelInfo* info, const char* name) const {
    size_t count = 0;
    call<163, const KernelInfo*, const char*, int64_t*, size_t*>(info, name, nullptr, &count);
    std::vector<int64_t> found(count);
    call<163, const KernelInfo*, const char*, int64_t*, size_t*>(info, name, found.data(), &count);
    return found;
  }
  // An input that is stored in the graph; null when it is computed.
  const Value* constant(const KernelInfo* info, size_t index) const {
    int is_constant = 0;
    const Value* found = nullptr;
    call<249, const KernelInfo*, size_t, int*, const Value**>(info, index, &is_constant, &found);
    return is_constant != 0 ? found : nullptr;
  }

  // ---- operators: one call
  size_t input_count(const Context* context) const {
    size_t count = 0;
    call<88, const Context*, size_t*>(context, &count);
    return count;
  }
  const Value* input(const Context* context, size_t index) const {
    const Value* found = nullptr;
    call<90, const Context*, size_t, const Value**>(context, index, &found);
    return found;
  }
  // The memory of the first output, once it has this shape.
  uint8_t* output(Context* context, const std::vector<int64_t>& shape) const {
    Value* found = nullptr;
    call<91, Context*, size_t, const int64_t*, size_t, Value**>(context, 0, shape.data(), shape.size(), &found);
    return static_cast<uint8_t*>(data(found));
  }
  // Runs `task` for each number below `count` on the session's threads and returns when all calls have ended.
  void parallel_for(const Context* context, void (*task)(void*, size_t), size_t count, void* self) const {
    constexpr size_t kOneAfterTheOther = 0;  // batches: threads take one task after the other
    call<274, const Context*, void (*)(void*, size_t), size_t, size_t, void*>(context, task, count, kOneAfterTheOther,
                                                                              self);
  }

 private:
  template <size_t position, typename Signature>
  Signature* at() const {
    return reinterpret_cast<Signature*>(const_cast<void*>(table_[position]));
  }
  template <size_t position, typename... Given>
  void call(Given... given) const {
    check(at<position, Status*(Given...)>()(given...));
  }
  // The object that a function writes to its last argument.
  template <typename Object, size_t position, typename... Given>
  Owned<Object> made(Given... given) const {
    Object* object = nullptr;
    call<position, Given..., Object**>(given..., &object);
    return owned(object);
  }

  void release(Env* env) const { at<92, void(Env*)>()(env); }
  void release(Status* status) const { at<93, void(Status*)>()(status); }
  void release(MemoryInfo* memory) const { at<94, void(MemoryInfo*)>()(memory); }
  void release(Session* session) const { at<95, void(Session*)>()(session); }
  void release(Value* value) const { at<96, void(Value*)>()(value); }
  void release(ShapeInfo* info) const { at<99, void(ShapeInfo*)>()(info); }
  void release(SessionOptions* options) const { at<100, void(SessionOptions*)>()(options); }
  void release(CudaOptions* options) const { at<208, void(CudaOptions*)>()(options); }

  const void* const* table_ = nullptr;
};

}  // namespace ort
