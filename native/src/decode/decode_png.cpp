#include <csetjmp>
#include <cstdio>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

#include <png.h>

#include "decode/decode.hpp"
#include "base/failure.hpp"

namespace zoo_impl {

namespace {

// As in decode_jpeg.cpp: libpng jumps out of its calls, so that methods that call it create no objects with
// destructors.
class Reader {
 public:
  Reader(const uint8_t* bytes, size_t size) : next_(bytes), left_(size) {
    png_ = png_create_read_struct(
        PNG_LIBPNG_VER_STRING, this,
        [](png_structp png, png_const_charp text) {
          Reader* self = static_cast<Reader*>(png_get_error_ptr(png));
          std::snprintf(self->text_, sizeof self->text_, "%s", text);
          std::longjmp(self->back_, 1);
        },
        [](png_structp, png_const_charp) {});
    if (png_ != nullptr) info_ = png_create_info_struct(png_);
  }

  ~Reader() { png_destroy_read_struct(&png_, &info_, nullptr); }

  Reader(const Reader&) = delete;
  Reader& operator=(const Reader&) = delete;

  bool header() {
    if (png_ == nullptr || info_ == nullptr || setjmp(back_) != 0) return false;
    png_set_read_fn(png_, this, [](png_structp png, png_bytep to, size_t count) {
      Reader* self = static_cast<Reader*>(png_get_io_ptr(png));
      if (count > self->left_) png_error(png, "the file is truncated");
      std::memcpy(to, self->next_, count);
      self->next_ += count;
      self->left_ -= count;
    });
    png_set_user_limits(png_, PNG_UINT_31_MAX, PNG_UINT_31_MAX);  // kMostPixels decides
    // As it is stored: libpng drops one that begins with EXIF's header.
    png_set_keep_unknown_chunks(png_, PNG_HANDLE_CHUNK_ALWAYS, reinterpret_cast<png_const_bytep>("eXIf"), 1);
    png_read_info(png_, info_);
    return true;
  }

  // Reads all rows: samples as they are stored, in one or two bytes each; with `scale_grey`, greys of fewer bits scaled
  // to 8.
  bool rows(png_bytepp rows, bool scale_grey) {
    if (setjmp(back_) != 0) return false;
    if (scale_grey) png_set_expand_gray_1_2_4_to_8(png_);
    else png_set_packing(png_);
    png_set_interlace_handling(png_);
    png_read_update_info(png_, info_);
    png_read_image(png_, rows);
    return true;
  }

  // Reads the chunks after the pixels, which may hold EXIF. Errors are ignored: the picture is complete without them.
  void tail() {
    if (setjmp(back_) != 0) return;
    png_read_end(png_, info_);
  }

  png_structp png() const { return png_; }
  png_infop info() const { return info_; }
  std::string reason() const { return text_[0] != '\0' ? text_ : "out of memory"; }

 private:
  png_structp png_ = nullptr;
  png_infop info_ = nullptr;
  const uint8_t* next_;
  size_t left_;
  std::jmp_buf back_{};
  char text_[128] = "";
};

[[noreturn]] void corrupt(const std::string& why) { throw Failure(ZOO_E_CORRUPT, "cannot read the PNG: " + why); }

// The bytes of a text that ImageMagick writes: a line break, a name, a length, and lines of hexadecimal digits. Nothing
// where it is another text.
std::vector<uint8_t> raw_profile(const char* text) {
  for (int line = 0; line < 3; ++line) {
    text = std::strchr(text, '\n');
    if (text++ == nullptr) return {};
  }
  std::vector<uint8_t> bytes;
  const auto digit = [](char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
  };
  for (; *text != '\0'; text += 2) {
    while (*text == ' ' || (*text >= '\t' && *text <= '\r')) ++text;
    if (*text == '\0') break;
    if (digit(text[0]) < 0 || digit(text[1]) < 0) return {};
    bytes.push_back(static_cast<uint8_t>(digit(text[0]) << 4 | digit(text[1])));
  }
  return bytes;
}

int orientation(const Reader& reader) {
  png_unknown_chunkp chunks = nullptr;
  const int number = png_get_unknown_chunks(reader.png(), reader.info(), &chunks);
  png_textp texts = nullptr;
  int count = 0, found = 0;
  png_get_text(reader.png(), reader.info(), &texts, &count);
  if (number > 0) {
    found = exif_orientation(chunks[number - 1].data, chunks[number - 1].size);
  } else {
    for (int i = 0; i < count; ++i) {
      if (std::string_view(texts[i].key) != "Raw profile type exif" || texts[i].text == nullptr) continue;
      const std::vector<uint8_t> exif = raw_profile(texts[i].text);
      found = exif_orientation(exif.data(), exif.size());
    }
  }
  if (found != 0) return found;
  for (int i = 0; i < count; ++i) {
    if (std::string_view(texts[i].key) != "XML:com.adobe.xmp" || texts[i].text == nullptr) continue;
    found = xmp_orientation(reinterpret_cast<const uint8_t*>(texts[i].text), std::strlen(texts[i].text));
    if (found >= 1 && found <= 8) return found;
  }
  return 1;
}

// A colour over white, in the fixed-point steps that Pillow's alpha_composite takes.
uint8_t over_white(uint32_t colour, uint32_t alpha) {
  if (alpha == 0) return 255;
  const uint32_t sum = (colour * alpha + 255u * (255u - alpha) + 128u) << 7;
  return static_cast<uint8_t>((sum + (sum >> 8)) >> 15);
}

// Refuses greys of 16 bits that all become black, being 255 or less: they were stored with more bits than they have.
// zoo/preprocess/depth.py does the same.
void check_depth(const std::vector<uint8_t>& samples) {
  int brightest = 0;
  for (size_t i = 0; i + 1 < samples.size(); i += 2) {
    if (samples[i] != 0) return;
    if (samples[i + 1] > brightest) brightest = samples[i + 1];
  }
  if (brightest > 0)
    throw Failure(ZOO_E_FORMAT, "the pixels of the PNG are numbers of 16 bits up to " + std::to_string(brightest) +
                                    ", which is black where 65535 is white");
}

// Converts rows of samples to RGB.
class Painter {
 public:
  explicit Painter(const Reader& reader)
      : type_(png_get_color_type(reader.png(), reader.info())),
        wide_(png_get_bit_depth(reader.png(), reader.info()) == 16) {
    png_bytep alphas = nullptr;
    png_color_16p key = nullptr;
    int count = 0;
    const bool transparent = png_get_tRNS(reader.png(), reader.info(), &alphas, &count, &key) != 0;
    if (type_ == PNG_COLOR_TYPE_PALETTE) {
      for (int i = 0; i < 256; ++i) std::memset(palette_[i], i, 3);  // indices beyond the palette: greys
      png_colorp colours = nullptr;
      int known = 0;
      png_get_PLTE(reader.png(), reader.info(), &colours, &known);
      for (int i = 0; i < known; ++i) {
        palette_[i][0] = colours[i].red;
        palette_[i][1] = colours[i].green;
        palette_[i][2] = colours[i].blue;
      }
      for (int i = 0; transparent && i < count && i < 256; ++i)
        for (uint8_t& channel : palette_[i]) channel = over_white(channel, alphas[i]);
    } else if (type_ == PNG_COLOR_TYPE_GRAY && transparent && !wide_) {
      // Keys of RGB and of 16 bits are left alone, as in zoo/preprocess/pillow.py.
      const int bits = png_get_bit_depth(reader.png(), reader.info());
      key_ = bits == 1 ? (key->gray != 0 ? 255 : 0) : key->gray;
    }
  }

  void row(const uint8_t* in, uint8_t* out, uint32_t width) const {
    const size_t step = wide_ ? 2 : 1;  // of 16 bits the high byte comes first
    for (uint32_t x = 0; x < width; ++x, out += 3) {
      switch (type_) {
        case PNG_COLOR_TYPE_PALETTE:
          std::memcpy(out, palette_[in[x]], 3);
          break;
        case PNG_COLOR_TYPE_GRAY: {
          const int grey = wide_ ? (in[2 * x] << 8 | in[2 * x + 1]) / 257 : in[x];
          std::memset(out, grey == key_ ? 255 : grey, 3);
          break;
        }
        case PNG_COLOR_TYPE_GRAY_ALPHA: {
          const uint8_t* pixel = in + size_t{x} * 2 * step;
          std::memset(out, over_white(pixel[0], pixel[step]), 3);
          break;
        }
        case PNG_COLOR_TYPE_RGB_ALPHA: {
          const uint8_t* pixel = in + size_t{x} * 4 * step;
          for (size_t i = 0; i < 3; ++i) out[i] = over_white(pixel[i * step], pixel[3 * step]);
          break;
        }
        default: {
          const uint8_t* pixel = in + size_t{x} * 3 * step;
          for (size_t i = 0; i < 3; ++i) out[i] = pixel[i * step];
        }
      }
    }
  }

 private:
  int type_;
  bool wide_;
  int key_ = -1;
  uint8_t palette_[256][3] = {};
};

}  // namespace

Decoded decode_png(const uint8_t* bytes, size_t size, Canvas& canvas) {
  Reader reader(bytes, size);
  if (!reader.header()) corrupt(reader.reason());
  const uint32_t width = png_get_image_width(reader.png(), reader.info());
  const uint32_t height = png_get_image_height(reader.png(), reader.info());
  if (uint64_t{width} * height > kMostPixels)
    corrupt(std::to_string(width) + " x " + std::to_string(height) + " pixels are too many");
  const Painter painter(reader);
  const size_t channels = png_get_channels(reader.png(), reader.info());
  const size_t stride = channels * (png_get_bit_depth(reader.png(), reader.info()) == 16 ? 2 : 1) * width;
  // An interlaced picture is stored as seven passes over all rows: all samples are kept until the last pass.
  std::vector<uint8_t> samples(stride * height);
  std::vector<png_bytep> rows(height);
  for (uint32_t y = 0; y < height; ++y) rows[y] = samples.data() + stride * y;
  const bool grey = png_get_color_type(reader.png(), reader.info()) == PNG_COLOR_TYPE_GRAY;
  if (!reader.rows(rows.data(), grey)) corrupt(reader.reason());
  if (grey && png_get_bit_depth(reader.png(), reader.info()) == 16) check_depth(samples);
  canvas.resize(width, height);
  for (uint32_t y = 0; y < height; ++y) painter.row(rows[y], canvas.row(y), width);
  reader.tail();
  return {width, height, orientation(reader), View::of(canvas)};
}

}  // namespace zoo_impl
