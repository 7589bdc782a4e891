#include <algorithm>
#include <csetjmp>
#include <cstdio>
#include <cstring>
#include <string>
#include <vector>

#include <jpeglib.h>

#include "decode/decode.hpp"
#include "base/failure.hpp"

namespace zoo_impl {

namespace {

// A file of a few kilobytes can hold thousands of scans of a huge picture, each of which takes seconds.
constexpr int kMostScans = 500;

// libjpeg reports errors by jumping out of its calls, past destructors. So each method below that calls it sets the
// jump's target first and creates no object with a destructor.
class Reader {
 public:
  Reader(const uint8_t* bytes, size_t size) {
    jpeg_.err = jpeg_std_error(&errors_);
    jpeg_.client_data = this;
    errors_.error_exit = [](j_common_ptr any) {
      Reader* self = static_cast<Reader*>(any->client_data);
      any->err->format_message(any, self->text_);
      std::longjmp(self->back_, 1);
    };
    errors_.emit_message = [](j_common_ptr, int) {};  // warnings are ignored, as Pillow does
    if (setjmp(back_) != 0) return;
    jpeg_create_decompress(&jpeg_);
    created_ = true;
    // The whole file is in memory. When the decoder asks for more, the file is truncated: FALSE suspends the decoder.
    source_.init_source = source_.term_source = [](j_decompress_ptr) {};
    source_.fill_input_buffer = [](j_decompress_ptr) -> boolean { return FALSE; };
    source_.skip_input_data = [](j_decompress_ptr jpeg, long count) {
      jpeg_source_mgr* source = jpeg->src;
      const size_t skipped = count <= 0 ? 0 : static_cast<size_t>(count);
      const size_t taken = skipped < source->bytes_in_buffer ? skipped : source->bytes_in_buffer;
      source->next_input_byte += taken;
      source->bytes_in_buffer -= taken;
    };
    source_.resync_to_restart = jpeg_resync_to_restart;
    source_.next_input_byte = bytes;
    source_.bytes_in_buffer = size;
    jpeg_.src = &source_;
    watch_.progress_monitor = [](j_common_ptr any) {
      if (reinterpret_cast<j_decompress_ptr>(any)->input_scan_number <= kMostScans) return;
      Reader* self = static_cast<Reader*>(any->client_data);
      std::snprintf(self->text_, sizeof self->text_, "more than %d scans", kMostScans);
      std::longjmp(self->back_, 1);
    };
    jpeg_.progress = &watch_;
    jpeg_save_markers(&jpeg_, JPEG_APP0 + 1, 0xFFFF);  // EXIF and XMP
  }

  ~Reader() {
    if (created_) jpeg_destroy_decompress(&jpeg_);
  }

  Reader(const Reader&) = delete;
  Reader& operator=(const Reader&) = delete;

  bool header() {
    if (!created_ || setjmp(back_) != 0) return false;
    return jpeg_read_header(&jpeg_, TRUE) == JPEG_HEADER_OK;
  }

  bool start(int denominator) {
    if (setjmp(back_) != 0) return false;
    jpeg_.scale_num = 1;
    jpeg_.scale_denom = static_cast<unsigned>(denominator);
    jpeg_.out_color_space = jpeg_.num_components == 4 ? JCS_CMYK : JCS_RGB;
    return jpeg_start_decompress(&jpeg_) != FALSE;
  }

  // Decodes `width` columns from `left` on, and maybe some more: `left` is moved to a column where libjpeg can begin.
  // Without a libjpeg that can crop, all columns are decoded.
  bool columns(uint32_t& left, uint32_t width) {
    if (setjmp(back_) != 0) return false;
#ifdef ZOO_JPEG_CROPS
    jpeg_crop_scanline(&jpeg_, &left, &width);
#else
    static_cast<void>(width);
    left = 0;
#endif
    return true;
  }

  // Decodes the next row into `out`; false at an error or when the file ends.
  bool row(uint8_t* out) {
    if (setjmp(back_) != 0) return false;
    return jpeg_read_scanlines(&jpeg_, &out, 1) == 1;
  }

  const jpeg_decompress_struct& jpeg() const { return jpeg_; }

  // Why the last call failed.
  std::string reason() const { return text_[0] != '\0' ? text_ : "the file is truncated"; }

 private:
  jpeg_decompress_struct jpeg_{};
  jpeg_error_mgr errors_{};
  jpeg_source_mgr source_{};
  jpeg_progress_mgr watch_{};
  std::jmp_buf back_{};
  char text_[JMSG_LENGTH_MAX] = "";
  bool created_ = false;
};

[[noreturn]] void corrupt(const Reader& reader) {
  throw Failure(ZOO_E_CORRUPT, "cannot read the JPEG: " + reader.reason());
}

bool begins(const jpeg_marker_struct* marker, const char* text, size_t size) {
  return marker->data_length >= size && std::memcmp(marker->data, text, size) == 0;
}

int orientation(const jpeg_decompress_struct& jpeg) {
  static constexpr char kExif[] = "Exif\0", kXmp[] = "http://ns.adobe.com/xap/1.0/";
  std::vector<uint8_t> exif, xmp;
  for (const jpeg_marker_struct* marker = jpeg.marker_list; marker != nullptr; marker = marker->next) {
    const uint8_t *start = marker->data, *end = start + marker->data_length;
    if (begins(marker, kExif, sizeof kExif)) exif.insert(exif.end(), start + sizeof kExif, end);
    else if (begins(marker, kXmp, sizeof kXmp)) xmp.assign(start + sizeof kXmp, end);
  }
  if (const int found = exif_orientation(exif.data(), exif.size()); found != 0) return found;
  const int found = xmp_orientation(xmp.data(), xmp.size());
  return found >= 1 && found <= 8 ? found : 1;
}

// Inverted CMYK, as every program writes it, to RGB: k - (255 - c) * k / 255 for each c of C, M, Y.
void from_cmyk(const uint8_t* in, uint8_t* out, uint32_t width) {
  for (uint32_t x = 0; x < width; ++x, in += 4, out += 3) {
    const int light = in[3];
    for (int channel = 0; channel < 3; ++channel) {
      const int product = (255 - in[channel]) * light + 128;
      const int left = light - ((product + (product >> 8)) >> 8);
      out[channel] = static_cast<uint8_t>(left < 0 ? 0 : left);
    }
  }
}

// The denominator of libjpeg's scale.
int reduction(uint32_t width, uint32_t height, uint32_t at_least) {
  const uint32_t times = std::min(width / at_least, height / at_least);
  return times >= 8 ? 8 : times >= 4 ? 4 : times >= 2 ? 2 : 1;
}

// Whether the file ends with its end marker. Only then are parts of it left out: in a damaged file the damage could lie
// in a part that is not decoded, and would go unnoticed.
bool ends(const uint8_t* bytes, size_t size) { return size >= 2 && bytes[size - 2] == 0xFF && bytes[size - 1] == 0xD9; }

// Chroma is smoothed across the borders of blocks, so that pixels at a cut are wrong. This many more columns are
// decoded on each side, which moves the cuts out of the part that is needed.
constexpr uint32_t kBlock = 32;

}  // namespace

Decoded decode_jpeg(const uint8_t* bytes, size_t size, uint32_t at_least, const Needed& needed, Canvas& canvas) {
  Reader reader(bytes, size);
  if (!reader.header()) corrupt(reader);
  const jpeg_decompress_struct& jpeg = reader.jpeg();
  Decoded decoded{jpeg.image_width, jpeg.image_height, orientation(jpeg), {}};
  if (uint64_t{decoded.width} * decoded.height > kMostPixels)
    throw Failure(ZOO_E_CORRUPT, "cannot read the JPEG: " + std::to_string(decoded.width) + " x " +
                                     std::to_string(decoded.height) + " pixels are too many");
  if (jpeg.num_components != 1 && jpeg.num_components != 3 && jpeg.num_components != 4)
    throw Failure(ZOO_E_FORMAT, "a JPEG with " + std::to_string(jpeg.num_components) + " channels is not read");
  if (!reader.start(reduction(decoded.width, decoded.height, at_least))) corrupt(reader);
  const uint32_t width = jpeg.output_width, height = jpeg.output_height;
  uint32_t left = 0, rows = height;
  if (decoded.orientation == 1 && ends(bytes, size)) {
    const Part part = needed(width, height);
    left = part.left > kBlock ? part.left - kBlock : 0;
    const uint32_t right = std::min(part.right + kBlock, width);
    rows = std::min(part.bottom, height);
    if ((left > 0 || right < width) && !reader.columns(left, right - left)) corrupt(reader);
  }
  canvas.resize(jpeg.output_width, rows);
  std::vector<uint8_t> cmyk(jpeg.num_components == 4 ? size_t{jpeg.output_width} * 4 : 0);
  for (uint32_t y = 0; y < canvas.height(); ++y) {
    if (!reader.row(cmyk.empty() ? canvas.row(y) : cmyk.data())) corrupt(reader);
    if (!cmyk.empty()) from_cmyk(cmyk.data(), canvas.row(y), canvas.width());
  }
  decoded.view = View::of(canvas);
  decoded.view.width = width, decoded.view.height = height, decoded.view.left = left;
  return decoded;
}

}  // namespace zoo_impl
