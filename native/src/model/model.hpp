// A bundle's graph, loaded by a backend (Model), and what one thread needs to run it (Context).
#pragma once

#include <atomic>
#include <memory>
#include <string>
#include <vector>

#include "bundle/bundle.hpp"
#include "preprocess/preprocessor.hpp"
#include "model/registry.hpp"

namespace zoo_impl {

// Immutable; shared by all threads.
class Model {
 public:
  // Throws Failure.
  Model(const char* folder, const zoo_options& options);
  ~Model();
  Model(const Model&) = delete;
  Model& operator=(const Model&) = delete;

  const Bundle& bundle() const { return bundle_; }
  const Manifest& manifest() const { return bundle_.manifest(); }
  Preprocessing preprocessing() const { return {manifest().resize, manifest().height, manifest().width}; }
  const zoo_backend_table& backend() const { return candidate_.table; }
  void* engine() const { return engine_; }
  zoo_model_info info() const;
  // Runs the stored images and compares the logits with the stored ones. Throws Failure, but not for logits that
  // differ: the report says by how much.
  zoo_selftest selftest() const;

 private:
  Bundle bundle_;
  std::string precision_, device_;
  int32_t threads_;
  Candidate candidate_;
  void* engine_ = nullptr;
};

// One thread at a time: `busy` is set while one uses it.
class Context {
 public:
  explicit Context(std::shared_ptr<const Model> model);
  ~Context();
  Context(const Context&) = delete;
  Context& operator=(const Context&) = delete;

  const Model& model() const { return *model_; }

  // From uint8 [count, height, width, 3] to float32 [count, outputs]. Throws Failure.
  void run(const uint8_t* images, int64_t count, float* logits);
  // Scores or points in the result live until the next call. Throws Failure.
  zoo_prediction predict(const zoo_picture& picture);

  Preprocessor preprocessor;
  std::atomic_flag busy = ATOMIC_FLAG_INIT;

 private:
  std::shared_ptr<const Model> model_;
  void* session_ = nullptr;
  std::vector<uint8_t> pixels_;
  std::vector<float> logits_;  // of one picture; scores or points once they are a prediction
};

}  // namespace zoo_impl
