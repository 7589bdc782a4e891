// The orientation of a picture, as EXIF and XMP store it, and turning a picture upright.
#include <cstring>
#include <string_view>

#include "decode/decode.hpp"

namespace zoo_impl {

namespace {

// Numbers in a TIFF block, in the byte order that its first two bytes name.
struct Tiff {
  const uint8_t* data;
  size_t size;
  bool big;

  uint32_t at(size_t where, size_t bytes) const {
    uint32_t value = 0;
    for (size_t i = 0; i < bytes; ++i) value |= uint32_t{data[where + i]} << 8 * (big ? bytes - 1 - i : i);
    return value;
  }
};

constexpr uint32_t kOrientation = 0x0112, kShort = 3, kLong = 4;

}  // namespace

int exif_orientation(const uint8_t* bytes, size_t size) {
  // Some programs write EXIF's header twice, or in a PNG, where it has no place.
  for (int i = 0; i < 2 && size >= 6 && std::memcmp(bytes, "Exif\0\0", 6) == 0; ++i) bytes += 6, size -= 6;
  if (size < 8) return 0;
  const Tiff tiff{bytes, size, bytes[0] == 'M'};
  if (std::memcmp(bytes, tiff.big ? "MM\0*" : "II*\0", 4) != 0) return 0;
  const size_t start = tiff.at(4, 4);
  if (start > size - 2) return 0;
  const uint32_t entries = tiff.at(start, 2);
  int found = 0;
  for (uint32_t i = 0; i < entries; ++i) {
    const size_t where = start + 2 + size_t{i} * 12;
    if (where + 12 > size) break;
    const uint32_t type = tiff.at(where + 2, 2), count = tiff.at(where + 4, 4);
    if (tiff.at(where, 2) != kOrientation || count != 1 || (type != kShort && type != kLong)) continue;
    const uint32_t value = tiff.at(where + 8, type == kShort ? 2 : 4);
    // An invalid value counts as 1, so that XMP is not asked.
    found = value >= 1 && value <= 8 ? static_cast<int>(value) : 1;
  }
  return found;
}

int xmp_orientation(const uint8_t* packet, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(packet), size), name = "tiff:Orientation";
  for (size_t at = text.find(name); at != std::string_view::npos; at = text.find(name, at + 1)) {
    std::string_view rest = text.substr(at + name.size());
    if (rest.substr(0, 2) == "=\"") rest.remove_prefix(2);
    else if (rest.substr(0, 1) == ">") rest.remove_prefix(1);
    else continue;
    if (!rest.empty() && rest[0] >= '0' && rest[0] <= '9') return rest[0] - '0';
  }
  return 0;
}

void turn(const Canvas& from, int orientation, Canvas& to) {
  const bool swaps_axes = orientation >= 5;
  const uint32_t width = swaps_axes ? from.height() : from.width(), height = swaps_axes ? from.width() : from.height();
  to.resize(width, height);
  // Whether columns, and rows, of the upright picture are taken from the stored one in reverse order.
  const bool flip_x = orientation == 2 || orientation == 3 || orientation == 7 || orientation == 8;
  const bool flip_y = orientation == 3 || orientation == 4 || orientation == 6 || orientation == 7;
  for (uint32_t y = 0; y < height; ++y) {
    uint8_t* out = to.row(y);
    for (uint32_t x = 0; x < width; ++x, out += 3) {
      uint32_t column = swaps_axes ? y : x, line = swaps_axes ? x : y;
      if (flip_x) column = from.width() - 1 - column;
      if (flip_y) line = from.height() - 1 - line;
      std::memcpy(out, from.row(line) + size_t{column} * 3, 3);
    }
  }
}

}  // namespace zoo_impl
