// RGB pixels: memory for them, which is reused from picture to picture, and non-owning views.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

namespace zoo_impl {

// Vector code may read this many bytes past the last pixel of a row.
constexpr size_t kPadding = 32;

class Canvas {
 public:
  // Pixels that were there before are lost. Throws std::bad_alloc.
  void resize(uint32_t width, uint32_t height) {
    width_ = width;
    height_ = height;
    const size_t wanted = stride() * height + kPadding;
    if (wanted <= room_) return;
    bytes_.reset();
    room_ = 0;
    bytes_.reset(new uint8_t[wanted]);  // not zeroed: a file may promise a huge picture and contain no pixels
    room_ = wanted;
  }

  uint32_t width() const { return width_; }
  uint32_t height() const { return height_; }
  size_t stride() const { return size_t{width_} * 3; }
  uint8_t* row(uint32_t y) { return bytes_.get() + stride() * y; }
  const uint8_t* row(uint32_t y) const { return bytes_.get() + stride() * y; }

 private:
  std::unique_ptr<uint8_t[]> bytes_;
  size_t room_ = 0;
  uint32_t width_ = 0, height_ = 0;
};

// A non-owning view of RGB pixels.
struct View {
  const uint8_t* pixels = nullptr;
  uint32_t width = 0, height = 0;
  size_t stride = 0;    // bytes from one row to the next
  bool padded = false;  // kPadding bytes may be read past the end of the last row
  uint32_t left = 0;    // the column that `pixels` begins with; those before it and rows at the end may be missing

  static View of(const Canvas& canvas) {
    return {canvas.row(0), canvas.width(), canvas.height(), canvas.stride(), true, 0};
  }
};

}  // namespace zoo_impl
