#include "resize.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "cpu.hpp"

namespace zoo_impl {

void Taps::prepare(uint32_t in_, uint32_t out_, uint32_t begin_, uint32_t end_, uint32_t skipped_, bool for_across) {
  if (in == in_ && out == out_ && begin == begin_ && end == end_ && skipped == skipped_) return;
  in = 0;  // nothing is prepared while this runs, should memory run out
  out = out_, begin = begin_, end = end_, skipped = skipped_;
  const double scale = static_cast<double>(in_) / out_;
  const double support = std::max(scale, 1.0);  // of a triangle that is stretched when the picture shrinks
  const uint32_t kept = end - begin;
  room = (static_cast<uint32_t>(std::ceil(support)) * 2 + 1 + 3) / 4 * 4;
  first.assign(kept, 0);
  count.assign(kept, 0);
  weight.assign(size_t{kept} * room, 0);
  std::vector<double> share(room);
  for (uint32_t i = 0; i < kept; ++i) {
    const double centre = (i + begin + 0.5) * scale;
    const double from = centre - support + 0.5, to = centre + support + 0.5;
    const int low = from < 0 ? 0 : static_cast<int>(from);
    const int high = to > in_ ? static_cast<int>(in_) : static_cast<int>(to);
    double sum = 0;
    for (int x = low; x < high; ++x) {
      const double away = std::fabs((x - centre + 0.5) * (1.0 / support));
      share[static_cast<size_t>(x - low)] = away < 1.0 ? 1.0 - away : 0.0;
      sum += share[static_cast<size_t>(x - low)];
    }
    first[i] = static_cast<uint32_t>(low) - skipped;
    count[i] = static_cast<uint32_t>(high - low);
    int32_t* mine = &weight[size_t{i} * room];
    for (uint32_t x = 0; x < count[i]; ++x)
      mine[x] = static_cast<int32_t>(0.5 + (sum != 0.0 ? share[x] / sum : share[x]) * (1 << kWeightBits));
  }
  across.clear();
  if (for_across && cpu().avx2) {
    // For every four weights 16 + 16 numbers: their high halves (w0 w1) x 4, (w2 w3) x 4, then their low halves.
    across.reserve(weight.size() * 8);
    for (size_t four = 0; four < weight.size(); four += 4)
      for (int half = 0; half < 2; ++half)
        for (size_t i = 0; i < 16; ++i) {
          const int32_t value = weight[four + i / 8 * 2 + i % 2];
          across.push_back(static_cast<int16_t>(half == 0 ? value >> 11 : value & 2047));
        }
  }
  in = in_;
}

static uint8_t rounded(int64_t sum) {
  const int64_t value = (sum + (1 << (kWeightBits - 1))) >> kWeightBits;
  return static_cast<uint8_t>(std::min<int64_t>(value, 255));
}

void across_plain(const uint8_t* in, uint8_t* out, const Taps& taps) {
  for (uint32_t i = 0; i < taps.end - taps.begin; ++i, out += 3) {
    const uint8_t* pixel = in + size_t{taps.first[i]} * 3;
    const int32_t* weight = &taps.weight[size_t{i} * taps.room];
    int64_t red = 0, green = 0, blue = 0;
    for (uint32_t x = 0; x < taps.count[i]; ++x, pixel += 3) {
      red += pixel[0] * weight[x];
      green += pixel[1] * weight[x];
      blue += pixel[2] * weight[x];
    }
    out[0] = rounded(red), out[1] = rounded(green), out[2] = rounded(blue);
  }
}

void down_plain(const uint8_t* const* rows, const int32_t* weights, uint32_t count, uint8_t* out, size_t bytes) {
  for (size_t x = 0; x < bytes; ++x) {
    int64_t sum = 0;
    for (uint32_t y = 0; y < count; ++y) sum += rows[y][x] * weights[y];
    out[x] = rounded(sum);
  }
}

void Resizer::run(const View& from, const Crop& crop, uint8_t* out) {
  const AcrossRow across_row = cpu().avx2 ? across_avx2 : across_plain;
  const DownRow down_row = cpu().avx2 ? down_avx2 : down_plain;
  const size_t row_bytes = size_t{crop.wide} * 3;
  const bool across = crop.width != from.width, down = crop.height != from.height;

  // Which input rows matter: all of them that any kept output row is made of.
  uint32_t first = crop.top, end = crop.top + crop.high;
  if (down) {
    down_.prepare(from.height, crop.height, crop.top, crop.top + crop.high, 0, false);
    first = down_.first.front();
    end = down_.first.back() + down_.count.back();
  }

  const uint8_t* rows = from.pixels + from.stride * first + size_t{crop.left - from.left} * 3;
  size_t stride = from.stride;
  if (across) {
    across_.prepare(from.width, crop.width, crop.left, crop.left + crop.wide, from.left, true);
    stride = row_bytes + kPadding;
    between_.resize(stride * (end - first));
    for (uint32_t y = first; y < end; ++y) {
      const uint8_t* row = from.pixels + from.stride * y;
      if (!from.padded && from.stride * (from.height - 1 - y) < kPadding) {  // somebody's memory ends close by
        last_.resize(size_t{from.width} * 3 + kPadding);
        std::memcpy(last_.data(), row, size_t{from.width} * 3);
        row = last_.data();
      }
      across_row(row, between_.data() + stride * (y - first), across_);
    }
    rows = between_.data();
  }
  for (uint32_t y = 0; y < crop.high; ++y, out += row_bytes) {
    if (!down) {
      std::memcpy(out, rows + stride * y, row_bytes);
      continue;
    }
    rows_.resize(down_.count[y]);
    for (uint32_t i = 0; i < down_.count[y]; ++i) rows_[i] = rows + stride * (down_.first[y] + i - first);
    down_row(rows_.data(), &down_.weight[size_t{y} * down_.room], down_.count[y], out, row_bytes);
  }
}

}  // namespace zoo_impl
