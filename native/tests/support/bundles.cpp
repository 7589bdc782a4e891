#include "support/bundles.hpp"

#include <dirent.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <sstream>

#include <png.h>

// After <cstdio>: it uses FILE and size_t without including them.
#include <jpeglib.h>

#include "base/sha256.hpp"

Folder::Folder() {
  const char* base = std::getenv("TMPDIR");
  path_ = std::string(base == nullptr ? "/tmp" : base) + "/zoo-test-XXXXXX";
  if (mkdtemp(path_.data()) == nullptr) std::abort();
}

Folder::~Folder() {
  if (DIR* listing = opendir(path_.c_str())) {
    while (const dirent* entry = readdir(listing)) unlink((path_ + "/" + entry->d_name).c_str());
    closedir(listing);
  }
  rmdir(path_.c_str());
}

void Folder::write(const std::string& name, const std::string& bytes) const {
  std::ofstream(path_ + "/" + name, std::ios::binary) << bytes;
}

std::string Folder::read(const std::string& name) const {
  std::ostringstream text;
  text << std::ifstream(path_ + "/" + name, std::ios::binary).rdbuf();
  return text.str();
}

static const std::string kGraph = "\x40 a graph for the backend sums";
static const std::string kLabels = R"(["ape", "b\u00e4r", "cat", "dog"])";
static const std::string kReadme = "a card\n";

// Two images, of bytes 0 and of bytes 255, and the logits that the backend `sums` gives for them.
static std::string vectors() {
  const size_t picture = size_t{kHeight} * kWidth * 3;
  const std::string header =
      R"({"image":{"dtype":"U8","shape":[2,6,8,3],"data_offsets":[0,288]},)"
      R"("fp32":{"dtype":"F32","shape":[2,4],"data_offsets":[288,320]}})";
  std::string bytes(8, '\0');
  for (int i = 0; i < 8; ++i) bytes[static_cast<size_t>(i)] = static_cast<char>(header.size() >> 8 * i & 255);
  bytes += header + std::string(picture, '\0') + std::string(picture, '\xff');
  for (float logit : {0.25f, 0.25f, 0.25f, 0.25f, 1.25f, 1.25f, 1.25f, 1.25f}) {
    char raw[4];
    std::memcpy(raw, &logit, 4);
    bytes.append(raw, 4);
  }
  return bytes;
}

static std::string entry(const std::string& name, const std::string& bytes) {
  return "\"" + name + "\": {\"sha256\": \"" + zoo_impl::sha256(bytes.data(), bytes.size()) +
         "\", \"bytes\": " + std::to_string(bytes.size()) + "}";
}

std::string manifest_text() {
  return R"({"schema": "zoo.bundle/1", "name": "tiny", "task": "classification",
"input": {"name": "image", "dtype": "uint8", "layout": "NHWC", "color": "RGB", "height": 6, "width": 8, "resize": 6,
          "filter": "pillow-bilinear-antialias", "crop": "center"},
"output": {"name": "logits", "dtype": "float32", "size": 4}, "labels": "labels.json",
"graphs": {"fp32": {"file": "model.fp32.onnx", "opset": 20, "nodes": 1, "casts": 0, "low_precision_share": 1.0}},
"parity": {}, "accuracy": {}, "selftest": {"file": "selftest.safetensors", "images": 2, "tolerance": {"fp32": 1e-4}},
"cost": {}, "provenance": {"note": "made by a test", "list": [1, -2.5e3, true, null]},
"files": {)" + entry("model.fp32.onnx", kGraph) + ", " + entry("labels.json", kLabels) + ", " +
         entry("README.md", kReadme) + ", " + entry("selftest.safetensors", vectors()) + "}}\n";
}

void write_bundle(const Folder& folder) {
  folder.write("model.fp32.onnx", kGraph);
  folder.write("labels.json", kLabels);
  folder.write("README.md", kReadme);
  folder.write("selftest.safetensors", vectors());
  folder.write("manifest.json", manifest_text());
}

zoo_options test_options() {
  zoo_options options = ZOO_INIT(zoo_options);
  options.backend = "sums";
  options.backend_path = TEST_BACKENDS;
  options.threads = 1;
  return options;
}

Tensors::Tensors(int64_t count)
    : images(static_cast<size_t>(count) * kHeight * kWidth * 3), logits(static_cast<size_t>(count) * kOutputs) {
  in.data = images.data();
  in.size = images.size();
  in.dtype = ZOO_UINT8;
  in.rank = 4;
  in.shape[0] = count, in.shape[1] = kHeight, in.shape[2] = kWidth, in.shape[3] = 3;
  out.data = logits.data();
  out.size = logits.size() * sizeof(float);
  out.dtype = ZOO_FLOAT32;
  out.rank = 2;
  out.shape[0] = count, out.shape[1] = kOutputs;
}

OpenBundle::OpenBundle(zoo_options given) : options(given) {
  write_bundle(folder);
  open();
}

zoo_status OpenBundle::open() {
  close();
  status = zoo_model_open(folder.path().c_str(), &options, &model, &error);
  if (status == ZOO_OK) status = zoo_context_create(model, &context, &error);
  return status;
}

void OpenBundle::close() {
  zoo_context_free(context);
  zoo_model_free(model);
  context = nullptr;
  model = nullptr;
}

std::vector<uint8_t> pattern(uint32_t width, uint32_t height) {
  std::vector<uint8_t> rgb;
  for (uint32_t y = 0; y < height; ++y)
    for (uint32_t x = 0; x < width; ++x)
      for (uint32_t c = 0; c < 3; ++c)
        rgb.push_back(static_cast<uint8_t>((x * 255 / width + (c + 1) * (y * 255 / height) + (x * y) % 7) & 255));
  return rgb;
}

std::vector<uint8_t> as_jpeg(const std::vector<uint8_t>& rgb, uint32_t width, uint32_t height) {
  jpeg_compress_struct jpeg{};
  jpeg_error_mgr errors{};
  jpeg.err = jpeg_std_error(&errors);
  jpeg_create_compress(&jpeg);
  unsigned char* bytes = nullptr;
  unsigned long size = 0;
  jpeg_mem_dest(&jpeg, &bytes, &size);
  jpeg.image_width = width;
  jpeg.image_height = height;
  jpeg.input_components = 3;
  jpeg.in_color_space = JCS_RGB;
  jpeg_set_defaults(&jpeg);
  jpeg_start_compress(&jpeg, TRUE);
  for (uint32_t y = 0; y < height; ++y) {
    JSAMPROW row = const_cast<JSAMPROW>(rgb.data() + size_t{y} * width * 3);
    jpeg_write_scanlines(&jpeg, &row, 1);
  }
  jpeg_finish_compress(&jpeg);
  jpeg_destroy_compress(&jpeg);
  std::vector<uint8_t> out(bytes, bytes + size);
  std::free(bytes);
  return out;
}

std::vector<uint8_t> as_png(const std::vector<uint8_t>& rgb, uint32_t width, uint32_t height) {
  png_image image{};
  image.version = PNG_IMAGE_VERSION;
  image.width = width;
  image.height = height;
  image.format = PNG_FORMAT_RGB;
  png_alloc_size_t size = 0;
  png_image_write_to_memory(&image, nullptr, &size, 0, rgb.data(), 0, nullptr);
  std::vector<uint8_t> out(size);
  png_image_write_to_memory(&image, out.data(), &size, 0, rgb.data(), 0, nullptr);
  return out;
}
