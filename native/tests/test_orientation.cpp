// The orientation of a picture, and turning it upright.
#include <cstring>
#include <string>

#include "decode/decode.hpp"
#include "support/check.hpp"

using namespace zoo_impl;

TEST(orientation_is_found_in_both_byte_orders_and_in_xmp) {
  const uint8_t little[] = {'I', 'I', 42, 0, 8, 0, 0, 0, 1, 0, 0x12, 1, 3, 0, 1, 0, 0, 0, 6, 0, 0, 0};
  const uint8_t big[] = {'M', 'M', 0, 42, 0, 0, 0, 8, 0, 1, 1, 0x12, 0, 3, 0, 0, 0, 1, 0, 8, 0, 0};
  CHECK(exif_orientation(little, sizeof little) == 6);
  CHECK(exif_orientation(big, sizeof big) == 8);
  for (size_t size = 0; size < sizeof little; ++size) CHECK(exif_orientation(little, size) == 0);
  // The header may come never, once, or twice.
  std::string headed(reinterpret_cast<const char*>(little), sizeof little);
  for (int i = 0; i < 3; ++i, headed.insert(0, std::string("Exif\0\0", 6)))
    CHECK(exif_orientation(reinterpret_cast<const uint8_t*>(headed.data()), headed.size()) == 6);
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
