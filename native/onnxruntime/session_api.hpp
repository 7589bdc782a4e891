// The part of ONNX Runtime's C API that the plug-in uses. No header of it ships in any pip wheel; its function table only
// ever grows at the end, and a library answers GetApi(n) if it has all that version n had. The numbers are positions in
// that table; everything here was there in version kVersion.
#pragma once

#include <cstddef>
#include <cstdint>

namespace ort {

constexpr uint32_t kVersion = 16;

struct Env;
struct Status;
struct Session;
struct SessionOptions;
struct MemoryInfo;
struct Value;
struct CudaOptions;

struct Base {
  const void* const* (*GetApi)(uint32_t version);  // NULL where the library is older
  const char* (*GetVersionString)();
};

enum ElementType : int { kFloat = 1, kUint8 = 2 };
enum LogLevel : int { kErrors = 3 };
enum AllocatorType : int { kDeviceAllocator = 0 };
enum MemoryType : int { kDefaultMemory = 0 };

class Api {
 public:
  Api() = default;
  explicit Api(const void* const* table) : table_(table) {}
  explicit operator bool() const { return table_ != nullptr; }

  const char* message(const Status* status) const { return at<2, const char*(const Status*)>()(status); }
  Status* create_env(LogLevel level, const char* id, Env** out) const {
    return at<3, Status*(LogLevel, const char*, Env**)>()(level, id, out);
  }
  Status* disable_telemetry(const Env* env) const { return at<6, Status*(const Env*)>()(env); }
  Status* create_session(const Env* env, const void* graph, size_t size, const SessionOptions* options,
                         Session** out) const {
    return at<8, Status*(const Env*, const void*, size_t, const SessionOptions*, Session**)>()(env, graph, size,
                                                                                              options, out);
  }
  Status* run(Session* session, const char* const* inputs, const Value* const* given, size_t input_count,
              const char* const* outputs, size_t output_count, Value** answers) const {
    return at<9, Status*(Session*, const void*, const char* const*, const Value* const*, size_t, const char* const*,
                         size_t, Value**)>()(session, nullptr, inputs, given, input_count, outputs, output_count,
                                             answers);
  }
  Status* create_options(SessionOptions** out) const { return at<10, Status*(SessionOptions**)>()(out); }
  Status* set_log_level(SessionOptions* options, int level) const {
    return at<22, Status*(SessionOptions*, int)>()(options, level);
  }
  Status* set_intra_threads(SessionOptions* options, int count) const {
    return at<24, Status*(SessionOptions*, int)>()(options, count);
  }
  Status* set_inter_threads(SessionOptions* options, int count) const {
    return at<25, Status*(SessionOptions*, int)>()(options, count);
  }
  Status* create_tensor(const MemoryInfo* memory, void* data, size_t size, const int64_t* shape, size_t rank,
                        ElementType type, Value** out) const {
    return at<49, Status*(const MemoryInfo*, void*, size_t, const int64_t*, size_t, ElementType, Value**)>()(
        memory, data, size, shape, rank, type, out);
  }
  Status* create_cpu_memory(AllocatorType allocator, MemoryType memory, MemoryInfo** out) const {
    return at<69, Status*(AllocatorType, MemoryType, MemoryInfo**)>()(allocator, memory, out);
  }
  Status* set_config(SessionOptions* options, const char* key, const char* value) const {
    return at<130, Status*(SessionOptions*, const char*, const char*)>()(options, key, value);
  }
  Status* providers(char*** names, int* count) const { return at<125, Status*(char***, int*)>()(names, count); }
  Status* release_providers(char** names, int count) const { return at<126, Status*(char**, int)>()(names, count); }
  Status* append_cuda(SessionOptions* options, const CudaOptions* cuda) const {
    return at<204, Status*(SessionOptions*, const CudaOptions*)>()(options, cuda);
  }
  Status* create_cuda_options(CudaOptions** out) const { return at<205, Status*(CudaOptions**)>()(out); }

  Status* update_cuda_options(CudaOptions* options, const char* const* keys, const char* const* values,
                              size_t count) const {
    return at<206, Status*(CudaOptions*, const char* const*, const char* const*, size_t)>()(options, keys, values, count);
  }

  void release(Env* env) const { at<92, void(Env*)>()(env); }
  void release(Status* status) const { at<93, void(Status*)>()(status); }
  void release(MemoryInfo* memory) const { at<94, void(MemoryInfo*)>()(memory); }
  void release(Session* session) const { at<95, void(Session*)>()(session); }
  void release(Value* value) const { at<96, void(Value*)>()(value); }
  void release(SessionOptions* options) const { at<100, void(SessionOptions*)>()(options); }
  void release(CudaOptions* options) const { at<208, void(CudaOptions*)>()(options); }

 private:
  template <size_t position, typename Signature>
  Signature* at() const {
    return reinterpret_cast<Signature*>(const_cast<void*>(table_[position]));
  }

  const void* const* table_ = nullptr;
};

}  // namespace ort
