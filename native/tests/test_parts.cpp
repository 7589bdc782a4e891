// The parts below the C interface: JSON, manifests, hashes, orientation, resizing.
#include <cstdlib>
#include <cstring>

#include "bundles.hpp"
#include "check.hpp"
#include "base/cpu.hpp"
#include "decode/decode.hpp"
#include "base/failure.hpp"
#include "preprocess/preprocessor.hpp"
#include "base/json.hpp"
#include "bundle/manifest.hpp"
#include "resize/resize.hpp"
#include "base/sha256.hpp"

using namespace zoo_impl;

TEST(sha256_gives_the_published_digests) {
  CHECK(sha256("", 0) == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  CHECK(sha256("abc", 3) == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  const std::string million(1000000, 'a');
  CHECK(sha256(million.data(), million.size()) == "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

TEST(json_reads_what_is_json) {
  const Json json = Json::parse(" {\"a\": [1, -0.5e2, true, false, null, \"\\u00e9\\ud83d\\ude00\\n\"], \"b\": {}} ");
  const std::vector<Json>& list = json.at("a", "x").list("x");
  CHECK(list.size() == 6);
  CHECK(list[0].whole("x", 10) == 1);
  CHECK(list[1].number("x") == -50);
  CHECK(list[5].text("x") == "\xc3\xa9\xf0\x9f\x98\x80\n");
}

TEST(json_refuses_what_is_not) {
  for (const char* text :
       {"", "{", "[1,]", "{\"a\":1,}", "{\"a\":1 \"b\":2}", "{'a':1}", "[01]", "[1.]", "[.5]", "[+1]", "[1e]", "[NaN]",
        "[Infinity]", "[1e999]", "[tru]", "\"\t\"", "\"\\x\"", "\"\\u12\"", "\"\\ud800\"", "\"\\udc00\"", "\"\\u0000\"",
        "\"\xff\"", "\"\xc0\x80\"", "\"\xed\xa0\x80\"", "\"\xf4\x90\x80\x80\"", "\"open", "[1] 2", "// x\n[1]"})
    CHECK_FAILS(ZOO_E_CORRUPT, "JSON", Json::parse(text));
  CHECK_FAILS(ZOO_E_CORRUPT, "twice", Json::parse("{\"a\": 1, \"b\": 2, \"a\": 3}"));
  CHECK_FAILS(ZOO_E_CORRUPT, "nested", Json::parse(std::string(100000, '[')));
}

static std::string edited(const std::string& from, const std::string& to) {
  std::string text = manifest_text();
  const size_t at = text.find(from);
  if (at == std::string::npos) std::abort();
  return text.replace(at, from.size(), to);
}

TEST(manifests_are_read_strictly) {
  const Manifest manifest = Manifest::parse(manifest_text());
  CHECK(manifest.height == kHeight && manifest.width == kWidth && manifest.outputs == kOutputs);
  CHECK(manifest.graphs.at("fp32") == "model.fp32.onnx");
  CHECK_FAILS(ZOO_E_VERSION, "zoo.bundle/9", Manifest::parse(edited("zoo.bundle/1", "zoo.bundle/9")));
  CHECK_FAILS(ZOO_E_CORRUPT, "'extra'", Manifest::parse(edited("\"name\": \"tiny\"", "\"extra\": 1")));
  CHECK_FAILS(ZOO_E_CORRUPT, "'labels' is missing", Manifest::parse(edited("\"labels\": \"labels.json\",", "")));
  CHECK_FAILS(ZOO_E_CORRUPT, "input.layout", Manifest::parse(edited("NHWC", "NCHW")));
  CHECK_FAILS(ZOO_E_CORRUPT, "task", Manifest::parse(edited("classification", "detection")));
  CHECK_FAILS(ZOO_E_CORRUPT, "input.height", Manifest::parse(edited("\"height\": 6", "\"height\": 0")));
  CHECK_FAILS(ZOO_E_CORRUPT, "input.height", Manifest::parse(edited("\"height\": 6", "\"height\": 1e9")));
  CHECK_FAILS(ZOO_E_CORRUPT, "input.height", Manifest::parse(edited("\"height\": 6", "\"height\": 6.5")));
  CHECK_FAILS(ZOO_E_CORRUPT, "does not list other", Manifest::parse(edited("\"file\": \"model", "\"file\": \"other")));
}

TEST(paths_that_leave_the_bundle_are_refused) {
  for (const char* path : {"../README.md", "/etc/passwd", "a/../../b", "a//b", "./a", "a/.", "", "a\\\\b", "a/"})
    CHECK_FAILS(ZOO_E_CORRUPT, "outside", Manifest::parse(edited("\"README.md\"", std::string("\"") + path + "\"")));
}

TEST(orientation_is_found_in_both_byte_orders_and_in_xmp) {
  const uint8_t little[] = {'I', 'I', 42, 0, 8, 0, 0, 0, 1, 0, 0x12, 1, 3, 0, 1, 0, 0, 0, 6, 0, 0, 0};
  const uint8_t big[] = {'M', 'M', 0, 42, 0, 0, 0, 8, 0, 1, 1, 0x12, 0, 3, 0, 0, 0, 1, 0, 8, 0, 0};
  CHECK(exif_orientation(little, sizeof little) == 6);
  CHECK(exif_orientation(big, sizeof big) == 8);
  for (size_t size = 0; size < sizeof little; ++size) CHECK(exif_orientation(little, size) == 0);
  const std::string xmp = "<x tiff:Orientation=\"3\">";
  CHECK(xmp_orientation(reinterpret_cast<const uint8_t*>(xmp.data()), xmp.size()) == 3);
  CHECK(xmp_orientation(reinterpret_cast<const uint8_t*>(xmp.data()), 20) == 0);
}

TEST(turning_puts_every_corner_where_exif_says) {
  Canvas from, to;
  from.resize(3, 2);
  for (uint32_t i = 0; i < 6; ++i) std::memset(from.row(0) + 3 * i, static_cast<int>(i), 3);
  // The stored picture is 0 1 2 / 3 4 5; the first and last pixel of the upright one.
  const int first[] = {2, 5, 3, 0, 3, 5, 2}, last[] = {3, 0, 2, 5, 2, 0, 3};
  for (int orientation = 2; orientation <= 8; ++orientation) {
    turn(from, orientation, to);
    CHECK(to.width() == (orientation >= 5 ? 2u : 3u));
    CHECK(to.row(0)[0] == first[orientation - 2]);
    CHECK(to.row(to.height() - 1)[(to.width() - 1) * 3] == last[orientation - 2]);
  }
}

// Random bytes: a swapped pixel or channel changes the result.
static std::vector<uint8_t> noise(size_t size) {
  static uint32_t state = 7;
  std::vector<uint8_t> bytes(size);
  for (uint8_t& byte : bytes) {
    state = state * 1664525u + 1013904223u;
    byte = static_cast<uint8_t>(state >> 24);
  }
  return bytes;
}

TEST(vector_code_gives_the_bits_of_scalar_code) {
  // 20000 to 3 has so many weights that the sums of their parts wrap around. The picture of width 37 is white: its sums are
  // the largest.
  const uint32_t sides[][2] = {{500, 341}, {37, 90}, {1000, 16}, {5, 4}, {1, 7}, {2, 1}, {9, 3}, {640, 256}, {20000, 3}};
  for (const Loops* loops : usable_loops())
    for (const auto& [wide, out_wide] : sides)
      for (const auto& [high, out_high] : sides) {
        if (size_t{wide} * high > 4000000) continue;
        std::vector<uint8_t> rgb = wide == 37 ? std::vector<uint8_t>(size_t{wide} * high * 3, 255)
                                              : noise(size_t{wide} * high * 3);
        const View view{rgb.data(), wide, high, size_t{wide} * 3, false, 0};  // address sanitizer watches its end
        for (uint32_t cut : {0u, 1u, 3u}) {
          if (out_wide <= 2 * cut || out_high <= 2 * cut) continue;
          const Crop crop{out_wide, out_high, cut, cut, out_wide - 2 * cut, out_high - 2 * cut};
          std::vector<uint8_t> scalar(size_t{crop.wide} * crop.high * 3), fast(scalar.size());
          Resizer(kScalar).run(view, crop, scalar.data());
          Resizer(*loops).run(view, crop, fast.data());
          CHECK(scalar == fast);
        }
      }
}

TEST(preprocessing_rounds_halves_to_even_as_python) {
  const Crop crop = crop_of({500, 375}, {256, 224, 224});
  CHECK(crop.width == 341 && crop.height == 256 && crop.left == 58 && crop.top == 16);
  CHECK(crop_of({5, 2}, {1, 1, 1}).width == 2);   // 2.5
  CHECK(crop_of({7, 2}, {1, 1, 1}).width == 4);   // 3.5
  CHECK(crop_of({10, 10}, {4, 8, 6}).height == 8);  // never smaller than the crop
}
