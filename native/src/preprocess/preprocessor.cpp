#include "preprocess/preprocessor.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "base/failure.hpp"

namespace zoo_impl {

static uint32_t scaled(uint32_t side, double scale, uint32_t at_least) {
  const double value = std::nearbyint(side * scale);  // halves to even, as Python rounds
  if (value > INT32_MAX) throw Failure(ZOO_E_FORMAT, "the picture is too long for its width");
  return std::max(at_least, static_cast<uint32_t>(value));
}

Crop crop_of(Extent picture, const Preprocessing& preprocessing) {
  const double scale = static_cast<double>(preprocessing.resize) / std::min(picture.width, picture.height);
  const uint32_t width = scaled(picture.width, scale, preprocessing.width);
  const uint32_t height = scaled(picture.height, scale, preprocessing.height);
  const uint32_t left = (width - preprocessing.width) / 2, top = (height - preprocessing.height) / 2;
  return {width, height, left, top, preprocessing.width, preprocessing.height};
}

// Along one axis, resized from `in` to `out` pixels: the first input pixel that the output pixels from `begin` to
// before `end` are computed from, and the end of these inputs; with some pixels to spare.
static uint32_t first_input(uint32_t in, uint32_t out, uint32_t begin) {
  const double scale = static_cast<double>(in) / out;
  return static_cast<uint32_t>(std::max(0.0, (begin + 0.5) * scale - std::max(scale, 1.0) - 2));
}
static uint32_t last_input(uint32_t in, uint32_t out, uint32_t end) {
  const double scale = static_cast<double>(in) / out;
  return static_cast<uint32_t>(std::min<double>(in, (end - 0.5) * scale + std::max(scale, 1.0) + 3));
}

static Part part_of(Extent picture, const Preprocessing& preprocessing) {
  const Crop crop = crop_of(picture, preprocessing);
  return {first_input(picture.width, crop.width, crop.left),
          last_input(picture.width, crop.width, crop.left + crop.wide),
          last_input(picture.height, crop.height, crop.top + crop.high)};
}

// The caller's RGB pixels, after checking that they lie within the caller's memory.
static View view_of(const zoo_picture& picture) {
  const uint64_t row = uint64_t{picture.width} * 3;
  if (picture.width == 0 || picture.height == 0) throw Failure(ZOO_E_ARGUMENT, "the picture has no pixels");
  if (uint64_t{picture.width} * picture.height > kMostPixels)
    throw Failure(ZOO_E_ARGUMENT, "the picture has too many pixels");
  if (picture.stride < 0 || (picture.stride != 0 && static_cast<uint64_t>(picture.stride) < row))
    throw Failure(ZOO_E_SHAPE, "the stride has to be at least 3 * width");
  const uint64_t stride = picture.stride == 0 ? row : static_cast<uint64_t>(picture.stride);
  // Divided, not multiplied: a stride near 2^63 must not wrap around.
  if (picture.size < row || (picture.height - 1) > (picture.size - row) / stride)
    throw Failure(ZOO_E_SHAPE, "the picture's bytes are fewer than height * stride");
  return {static_cast<const uint8_t*>(picture.data), picture.width, picture.height, static_cast<size_t>(stride), false,
          0};
}

// How the bytes are encoded, by their first bytes; throws where that is not what the caller says.
static zoo_encoding encoding_of(const zoo_picture& picture) {
  static constexpr unsigned char kJpeg[] = {0xFF, 0xD8, 0xFF}, kPng[] = {0x89, 'P', 'N', 'G', '\r', '\n', 0x1A, '\n'};
  if (picture.encoding == ZOO_RGB) return ZOO_RGB;
  zoo_encoding found = ZOO_ENCODED;
  if (picture.size >= sizeof kJpeg && std::memcmp(picture.data, kJpeg, sizeof kJpeg) == 0) found = ZOO_JPEG;
  if (picture.size >= sizeof kPng && std::memcmp(picture.data, kPng, sizeof kPng) == 0) found = ZOO_PNG;
  switch (picture.encoding) {
    case ZOO_ENCODED:
      if (found == ZOO_ENCODED) throw Failure(ZOO_E_FORMAT, "neither JPEG nor PNG");
      return found;
    case ZOO_JPEG:
      if (found != ZOO_JPEG) throw Failure(ZOO_E_FORMAT, "not a JPEG");
      return found;
    case ZOO_PNG:
      if (found != ZOO_PNG) throw Failure(ZOO_E_FORMAT, "not a PNG");
      return found;
    default:
      throw Failure(ZOO_E_ARGUMENT, "an unknown encoding");
  }
}

Extent Preprocessor::read(const zoo_picture& picture, const Preprocessing& preprocessing, uint8_t* out) {
  if (picture.data == nullptr) throw Failure(ZOO_E_ARGUMENT, "the picture's data is NULL");
  const zoo_encoding encoding = encoding_of(picture);
  if (encoding == ZOO_RGB) {
    const View view = view_of(picture);
    resizer_.run(view, crop_of({view.width, view.height}, preprocessing), out);
    return {view.width, view.height};
  }
  const uint8_t* bytes = static_cast<const uint8_t*>(picture.data);
  const Needed needed = [&preprocessing](uint32_t width, uint32_t height) {
    return part_of({width, height}, preprocessing);
  };
  const Decoded decoded = encoding == ZOO_JPEG ? decode_jpeg(bytes, picture.size, preprocessing.resize, needed, decoded_)
                                               : decode_png(bytes, picture.size, decoded_);
  if (decoded.orientation > 1) turn(decoded_, decoded.orientation, upright_);
  const View view = decoded.orientation > 1 ? View::of(upright_) : decoded.view;
  resizer_.run(view, crop_of({view.width, view.height}, preprocessing), out);
  if (decoded.orientation >= 5) return {decoded.height, decoded.width};
  return {decoded.width, decoded.height};
}

}  // namespace zoo_impl
