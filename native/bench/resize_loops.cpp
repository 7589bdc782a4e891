// zoo-resize-bench [PHOTO.jpg ...]: times resizing with each instruction set that this processor has.
//
// Prints one line of JSON for each picture: its size as decoded, and for each instruction set the lower quartile of its
// times in nanoseconds. They are timed in turn, so that other work on the machine slows all of them alike. "decode":
// the time of decoding the JPEG before that. Without photographs it takes noise, in sizes of cameras and of libjpeg's
// reduced scales. The short side is resized to 256 pixels, and 224 x 224 are cropped.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <string>
#include <vector>

#include "decode/decode.hpp"
#include "base/failure.hpp"
#include "base/file.hpp"
#include "preprocess/preprocessor.hpp"
#include "resize/resize.hpp"

using namespace zoo_impl;

static int64_t now() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

constexpr int kRounds = 400;

static long long lower_quartile(std::vector<int64_t>& times) {
  const auto at = times.begin() + static_cast<ptrdiff_t>(times.size() / 4);
  std::nth_element(times.begin(), at, times.end());
  return static_cast<long long>(*at);
}

static void measure(const char* name, const View& view, std::vector<int64_t> decoding) {
  constexpr Preprocessing kPreprocessing{256, 224, 224};
  const std::vector<const Loops*> kinds = usable_loops();
  const Crop crop = crop_of({view.width, view.height}, kPreprocessing);
  std::vector<uint8_t> out(size_t{crop.wide} * crop.high * 3);
  std::vector<Resizer> resizers;
  for (const Loops* kind : kinds) resizers.emplace_back(*kind);
  std::vector<std::vector<int64_t>> times(kinds.size());
  for (int round = -3; round < kRounds; ++round)  // the first ones allocate memory and compute weights
    for (size_t i = 0; i < kinds.size(); ++i) {
      const int64_t start = now();
      resizers[i].run(view, crop, out.data());
      if (round >= 0) times[i].push_back(now() - start);
    }
  std::printf("{\"picture\": \"%s\", \"width\": %u, \"height\": %u", name, view.width, view.height);
  if (!decoding.empty()) std::printf(", \"decode\": %lld", lower_quartile(decoding));
  for (size_t i = 0; i < kinds.size(); ++i) std::printf(", \"%s\": %lld", kinds[i]->name, lower_quartile(times[i]));
  std::printf("}\n");
}

int main(int argc, char** argv) {
  try {
    for (int i = 1; i < argc; ++i) {
      const Bytes bytes = read_file(argv[i], uint64_t{1} << 30);
      Canvas canvas;
      Decoded picture;
      std::vector<int64_t> decoding;
      for (int round = 0; round < kRounds / 4; ++round) {
        const int64_t start = now();
        const Needed all = [](uint32_t width, uint32_t height) { return Part{0, width, height}; };
        picture = decode_jpeg(bytes.data(), bytes.size(), 256, all, canvas);
        decoding.push_back(now() - start);
      }
      measure(argv[i], picture.view, decoding);
    }
    const uint32_t sizes[][2] = {{500, 375}, {480, 270}, {341, 256}, {160, 120}, {1280, 960}, {1920, 1080}};
    for (const auto& [width, height] : sizes) {
      if (argc > 1) break;
      std::vector<uint8_t> noise(size_t{width} * height * 3);
      uint32_t state = 1;
      for (uint8_t& byte : noise) state = state * 1664525u + 1013904223u, byte = static_cast<uint8_t>(state >> 24);
      measure("noise", {noise.data(), width, height, size_t{width} * 3, false, 0}, {});
    }
  } catch (const Failure& failure) {
    std::fprintf(stderr, "zoo-resize-bench: %s\n", failure.what());
    return 2;
  }
}
