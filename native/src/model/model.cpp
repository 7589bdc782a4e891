#include "model/model.hpp"

#include <sched.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <thread>

#include "model/prediction.hpp"
#include "base/failure.hpp"
#include "base/text.hpp"
#include "bundle/selftest_vectors.hpp"

namespace zoo_impl {

static const char* or_else(const char* text, const char* otherwise) { return text == nullptr ? otherwise : text; }

static int32_t usable_cores() {
  cpu_set_t cores;
  if (sched_getaffinity(0, sizeof cores, &cores) == 0) return CPU_COUNT(&cores);
  return static_cast<int32_t>(std::max(1u, std::thread::hardware_concurrency()));  // cpu_set_t holds 1024 cores
}

// The failure of a backend's call: with the backend's own text, or with the name of the status where there is none.
static Failure failed(zoo_status status, const std::string& backend, const zoo_error& error) {
  return Failure(status, "backend " + backend + ": " + (error.text[0] != '\0' ? error.text : zoo_status_name(status)));
}

Model::Model(const char* folder, const zoo_options& options)
    : bundle_(folder),
      precision_(or_else(options.precision, "fp32")),
      device_(or_else(options.device, "cpu")),
      threads_(options.threads) {
  if (threads_ < 0 || threads_ > 4096) throw Failure(ZOO_E_ARGUMENT, "threads must be from 1 to 4096, or 0 for all");
  if (threads_ == 0) threads_ = usable_cores();
  if (options.verify != ZOO_VERIFY_USED && options.verify != ZOO_VERIFY_ALL)
    throw Failure(ZOO_E_ARGUMENT, "verify must be ZOO_VERIFY_USED or ZOO_VERIFY_ALL");
  const auto graph = manifest().graphs.find(precision_);
  if (graph == manifest().graphs.end()) {
    const std::string known = joined(keys(manifest().graphs), ", ");
    throw Failure(ZOO_E_NOT_FOUND, std::string(folder) + " has no " + precision_ + " graph; it has: " + known);
  }
  if (options.verify == ZOO_VERIFY_ALL) bundle_.check_files();

  const std::string path = bundle_.path(graph->second);
  zoo_backend_request request = ZOO_INIT(zoo_backend_request);
  request.graph_path = path.c_str();
  request.precision = precision_.c_str();
  request.device = device_.c_str();
  request.threads = threads_;
  request.runtime_library = options.runtime_library;
  request.input = manifest().input.c_str();
  request.output = manifest().output.c_str();
  request.height = manifest().height;
  request.width = manifest().width;
  request.outputs = manifest().outputs;
  candidate_ = choose(options, request);
  const Bytes bytes = bundle_.file(graph->second);  // the backend gets the very bytes that were checked
  request.graph = bytes.data();
  request.graph_size = bytes.size();
  zoo_error error = ZOO_INIT(zoo_error);
  const zoo_status status = candidate_.table.open(&request, &engine_, &error);
  if (status != ZOO_OK) throw failed(status, candidate_.name, error);
}

Model::~Model() {
  if (engine_ != nullptr) candidate_.table.close(engine_);
}

zoo_model_info Model::info() const {
  zoo_model_info info = ZOO_INIT(zoo_model_info);
  info.name = manifest().name.c_str();
  info.task = manifest().task;
  info.height = manifest().height;
  info.width = manifest().width;
  info.resize = manifest().resize;
  info.outputs = manifest().outputs;
  info.labels = static_cast<uint32_t>(bundle_.labels().size());
  info.backend = candidate_.name.c_str();
  info.precision = precision_.c_str();
  info.device = device_.c_str();
  info.threads = threads_;
  info.runtime = candidate_.table.runtime(engine_);
  return info;
}

zoo_selftest Model::selftest() const {
  zoo_selftest report = ZOO_INIT(zoo_selftest);
  report.files = bundle_.check_files();
  const auto tolerance = manifest().tolerance.find(precision_);
  if (tolerance == manifest().tolerance.end())
    throw Failure(ZOO_E_SELFTEST, "the bundle has no self-test for " + precision_);
  const Bytes bytes = bundle_.file(manifest().selftest);
  const Vectors vectors = read_vectors(bytes, manifest(), precision_);

  zoo_error error = ZOO_INIT(zoo_error);
  struct Session {
    const zoo_backend_table& backend;
    void* handle = nullptr;
    ~Session() { if (handle != nullptr) backend.session_free(handle); }
  } session{candidate_.table};
  zoo_status status = session.backend.session_create(engine_, &session.handle, &error);
  if (status != ZOO_OK) throw failed(status, candidate_.name, error);
  std::vector<float> logits(vectors.logits.size());
  status = session.backend.run(session.handle, vectors.images, vectors.count, logits.data(), &error);
  if (status != ZOO_OK) throw failed(status, candidate_.name, error);

  report.images = static_cast<uint32_t>(vectors.count);
  report.tolerance = static_cast<float>(tolerance->second);
  for (size_t i = 0; i < logits.size(); ++i) {
    const float difference = std::fabs(logits[i] - vectors.logits[i]);
    if (!(difference <= report.difference))  // also where it is not a number
      report.difference = std::isnan(difference) ? std::numeric_limits<float>::infinity() : difference;
  }
  return report;
}

Context::Context(std::shared_ptr<const Model> model) : model_(std::move(model)) {
  zoo_error error = ZOO_INIT(zoo_error);
  const zoo_status status = model_->backend().session_create(model_->engine(), &session_, &error);
  if (status != ZOO_OK) throw failed(status, model_->info().backend, error);
}

Context::~Context() {
  if (session_ != nullptr) model_->backend().session_free(session_);
}

void Context::run(const uint8_t* images, int64_t count, float* logits) {
  zoo_error error = ZOO_INIT(zoo_error);
  const zoo_status status = model_->backend().run(session_, images, count, logits, &error);
  if (status != ZOO_OK) throw failed(status, model_->info().backend, error);
}

zoo_prediction Context::predict(const zoo_picture& picture) {
  const Manifest& manifest = model_->manifest();
  const uint32_t labels = static_cast<uint32_t>(model_->bundle().labels().size());
  pixels_.resize(size_t{manifest.height} * manifest.width * 3);
  logits_.resize(manifest.outputs);
  const Extent extent = preprocessor.read(picture, model_->preprocessing(), pixels_.data());
  run(pixels_.data(), 1, logits_.data());

  zoo_prediction prediction = ZOO_INIT(zoo_prediction);
  prediction.task = manifest.task;
  prediction.count = labels;
  prediction.picture_width = extent.width;
  prediction.picture_height = extent.height;
  if (manifest.task == ZOO_KEYPOINTS) {
    to_picture(logits_.data(), labels, model_->preprocessing(), extent);
    prediction.points = logits_.data();
    return prediction;
  }
  (manifest.task == ZOO_TAGGING ? sigmoid : softmax)(logits_.data(), labels);
  prediction.scores = logits_.data();
  prediction.best = static_cast<uint32_t>(std::max_element(logits_.begin(), logits_.end()) - logits_.begin());
  prediction.score = logits_[prediction.best];
  prediction.label = model_->bundle().labels()[prediction.best].c_str();
  return prediction;
}

}  // namespace zoo_impl
