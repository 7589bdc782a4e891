// Pictures through the C interface: good ones, damaged ones and impossible ones.
#include <cstdlib>
#include <cstring>

#include "support/bundles.hpp"
#include "support/check.hpp"

namespace {

struct Preprocessor {
  Preprocessor() { zoo_framer_create(&handle, nullptr); }
  ~Preprocessor() { zoo_framer_free(handle); }

  zoo_status read(const std::vector<uint8_t>& bytes, zoo_encoding encoding = ZOO_ENCODED) {
    picture.data = bytes.data();
    picture.size = bytes.size();
    picture.encoding = encoding;
    return read();
  }

  zoo_status read() {
    out.data = pixels;
    out.size = sizeof pixels;
    out.dtype = ZOO_UINT8;
    out.rank = 3;
    out.shape[0] = 12, out.shape[1] = 16, out.shape[2] = 3;
    return zoo_framer_read(handle, &framing, &picture, &out, &extent, &error);
  }

  zoo_framer* handle = nullptr;
  zoo_framing framing = {sizeof(zoo_framing), 14, 12, 16};
  zoo_picture picture = ZOO_INIT(zoo_picture);
  zoo_tensor out = ZOO_INIT(zoo_tensor);
  zoo_extent extent = ZOO_INIT(zoo_extent);
  zoo_error error = ZOO_INIT(zoo_error);
  uint8_t pixels[12 * 16 * 3] = {};
};

}  // namespace

TEST(a_png_and_its_pixels_give_the_same) {
  Preprocessor preprocessor;
  const std::vector<uint8_t> rgb = pattern(40, 30);
  CHECK(preprocessor.read(as_png(rgb, 40, 30)) == ZOO_OK);
  CHECK(preprocessor.extent.width == 40 && preprocessor.extent.height == 30);
  uint8_t from_png[sizeof preprocessor.pixels];
  std::memcpy(from_png, preprocessor.pixels, sizeof from_png);
  preprocessor.picture.width = 40;
  preprocessor.picture.height = 30;
  CHECK(preprocessor.read(rgb, ZOO_RGB) == ZOO_OK);
  CHECK(std::memcmp(from_png, preprocessor.pixels, sizeof from_png) == 0);
}

TEST(pixels_with_a_stride_are_read_to_their_last_byte_and_no_further) {
  Preprocessor preprocessor;
  const std::vector<uint8_t> dense = pattern(40, 30);
  preprocessor.picture.width = 40;
  preprocessor.picture.height = 30;
  CHECK(preprocessor.read(dense, ZOO_RGB) == ZOO_OK);
  uint8_t expected[sizeof preprocessor.pixels];
  std::memcpy(expected, preprocessor.pixels, sizeof expected);
  std::vector<uint8_t> wide(130 * 29 + 120);  // the last row has no gap behind it; address sanitizer watches
  for (size_t y = 0; y < 30; ++y) std::memcpy(&wide[y * 130], &dense[y * 120], 120);
  preprocessor.picture.stride = 130;
  CHECK(preprocessor.read(wide, ZOO_RGB) == ZOO_OK);
  CHECK(std::memcmp(expected, preprocessor.pixels, sizeof expected) == 0);
}

TEST(tiny_pictures_are_read_to_their_last_byte_and_no_further) {
  Preprocessor preprocessor;
  for (uint32_t width = 1; width < 14; ++width)
    for (uint32_t height = 1; height < 14; ++height) {
      const std::vector<uint8_t> rgb = pattern(width, height);  // address sanitizer watches its end
      preprocessor.picture.width = width;
      preprocessor.picture.height = height;
      CHECK(preprocessor.read(rgb, ZOO_RGB) == ZOO_OK);
    }
}

TEST(impossible_pixels_are_refused) {
  Preprocessor preprocessor;
  const std::vector<uint8_t> rgb = pattern(40, 30);
  struct { uint32_t width, height; int64_t stride; zoo_status expected; } cases[] = {
      {0, 30, 0, ZOO_E_ARGUMENT},       {40, 0, 0, ZOO_E_ARGUMENT},
      {40, 31, 0, ZOO_E_SHAPE},         {40, 30, -120, ZOO_E_SHAPE},
      {40, 30, 119, ZOO_E_SHAPE},       {40, 30, INT64_MAX, ZOO_E_SHAPE},
      {40, 30, INT64_MIN, ZOO_E_SHAPE}, {UINT32_MAX, UINT32_MAX, 0, ZOO_E_ARGUMENT},
      {1, UINT32_MAX, 0, ZOO_E_ARGUMENT}};
  for (const auto& one : cases) {
    preprocessor.picture.width = one.width;
    preprocessor.picture.height = one.height;
    preprocessor.picture.stride = one.stride;
    CHECK(preprocessor.read(rgb, ZOO_RGB) == one.expected);
    CHECK(preprocessor.error.text[0] != '\0');
  }
}

TEST(what_is_no_picture_is_a_status) {
  Preprocessor preprocessor;
  const std::vector<uint8_t> jpeg = as_jpeg(pattern(40, 30), 40, 30), png = as_png(pattern(40, 30), 40, 30);
  const std::string words = "GIF89a and more";
  CHECK(preprocessor.read({}) == ZOO_E_ARGUMENT);
  CHECK(preprocessor.read({words.begin(), words.end()}) == ZOO_E_FORMAT);
  CHECK(preprocessor.read(jpeg, ZOO_PNG) == ZOO_E_FORMAT);
  CHECK(preprocessor.read(png, ZOO_JPEG) == ZOO_E_FORMAT);
  CHECK(preprocessor.read(jpeg, 99) == ZOO_E_ARGUMENT);
  CHECK(preprocessor.read(jpeg) == ZOO_OK);  // and the preprocessor still works
}

TEST(truncated_files_are_refused_at_every_length) {
  Preprocessor preprocessor;
  for (const std::vector<uint8_t>& whole : {as_jpeg(pattern(40, 30), 40, 30), as_png(pattern(40, 30), 40, 30)}) {
    // A PNG without its last chunk, or a JPEG without its end marker, still has all pixels.
    for (size_t size = 0; size + 16 < whole.size(); ++size)
      CHECK(preprocessor.read({whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(size)}) != ZOO_OK);
    CHECK(preprocessor.read(whole) == ZOO_OK);
  }
}

TEST(flipped_bytes_never_crash) {
  Preprocessor preprocessor;
  for (std::vector<uint8_t> bytes : {as_jpeg(pattern(40, 30), 40, 30), as_png(pattern(40, 30), 40, 30)})
    for (size_t at = 0; at < bytes.size(); ++at)
      for (int bit : {1, 16, 128}) {
        const uint8_t before = bytes[at];
        bytes[at] = static_cast<uint8_t>(before ^ bit);
        preprocessor.read(bytes);
        bytes[at] = before;
      }
}

TEST(a_header_that_promises_a_huge_picture_is_a_status) {
  Preprocessor preprocessor;
  std::vector<uint8_t> jpeg = as_jpeg(pattern(40, 30), 40, 30);
  for (size_t at = 0; at + 9 < jpeg.size(); ++at)
    if (jpeg[at] == 0xFF && jpeg[at + 1] == 0xC0) std::memset(&jpeg[at + 5], 0xFF, 4);  // height, width: 65535
  CHECK(preprocessor.read(jpeg) == ZOO_E_CORRUPT);
  std::vector<uint8_t> png = as_png(pattern(40, 30), 40, 30);
  std::memset(&png[16], 0x7F, 8);  // its checksum is wrong then, too
  CHECK(preprocessor.read(png) == ZOO_E_CORRUPT);
}

TEST(sizes_out_of_range_are_refused) {
  Preprocessor preprocessor;
  const std::vector<uint8_t> png = as_png(pattern(40, 30), 40, 30);
  preprocessor.framing.resize = 0;
  CHECK(preprocessor.read(png) == ZOO_E_ARGUMENT);
  preprocessor.framing.resize = 1 << 20;
  CHECK(preprocessor.read(png) == ZOO_E_ARGUMENT);
  preprocessor.framing.resize = 14;
  preprocessor.framing.width = 17;  // the output is for 16
  CHECK(preprocessor.read(png) == ZOO_E_SHAPE);
}
