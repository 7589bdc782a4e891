#include "resize/resize.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>

namespace zoo_impl {

void Taps::prepare(uint32_t in_, uint32_t out_, uint32_t begin_, uint32_t end_, uint32_t skipped_, Axis axis) {
  if (in == in_ && out == out_ && begin == begin_ && end == end_ && skipped == skipped_) return;
  in = 0;  // should memory run out below, nothing counts as prepared
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
  pairs.clear(), start.clear(), reach.clear();
  if (cpu().avx2 && axis == Axis::down) pair_down();
  if (cpu().avx2 && axis == Axis::across) pair_across();
  in = in_;
}

static int32_t high_pair(const int32_t* two) { return (two[1] >> kLowBits) << 16 | two[0] >> kLowBits; }
static int32_t low_pair(const int32_t* two) {
  constexpr int32_t kLow = (1 << kLowBits) - 1;
  return (two[1] & kLow) << 16 | (two[0] & kLow);
}

void Taps::pair_down() {
  pairs.resize(weight.size());
  for (size_t i = 0; i < weight.size(); i += 2) {
    pairs[i] = high_pair(&weight[i]);
    pairs[i + 1] = low_pair(&weight[i]);
  }
}

void Taps::pair_across() {
  static constexpr uint32_t kLanes[] = {0, 2, 1, 3};
  const uint32_t kept = end - begin;
  std::vector<int32_t> shifted(room + 4);
  for (uint32_t group = 0; group < kept; group += 4) {
    const uint32_t last = std::min(group + 4, kept);
    const uint32_t most = *std::max_element(&count[group], &count[group] + (last - group));
    // At an edge of the picture an output has fewer inputs than its neighbours. It reads as many as they do, and begins
    // before its first input where it would otherwise read past the last input of the group.
    uint32_t stop = 0;
    for (uint32_t i = group; i < last; ++i) stop = std::max(stop, first[i] + count[i]);
    for (uint32_t i = group; i < group + 4; ++i)
      start.push_back(i < last ? std::min(first[i], stop - most) : stop - most);
    reach.push_back(most);
    const size_t from = pairs.size(), fours = (most + 3) / 4;
    pairs.resize(from + fours * 64);
    for (uint32_t lane = 0; lane < 4; ++lane) {
      const uint32_t i = group + kLanes[lane];
      if (i >= kept) continue;  // the last group is not full: zeros
      shifted.assign(shifted.size(), 0);
      std::copy_n(&weight[size_t{i} * room], count[i], &shifted[first[i] - start[i]]);
      for (size_t four = 0; four < fours; ++four)
        for (size_t two = 0; two < 2; ++two) {
          const int32_t* weights = &shifted[four * 4 + two * 2];
          int32_t* mine = &pairs[from + four * 64 + two * 16 + lane * 4];
          std::fill_n(mine, 4, high_pair(weights));
          std::fill_n(mine + 32, 4, low_pair(weights));
        }
    }
  }
}

std::vector<const Loops*> usable_loops() {
  std::vector<const Loops*> loops = {&kScalar};
#if ZOO_X86
  if (cpu().avx2) loops.push_back(&kAvx2);
  if (cpu().avx512) loops.push_back(&kAvx512);
#endif
  return loops;
}

void Resizer::run(const View& from, const Crop& crop, uint8_t* out) {
  const size_t row_bytes = size_t{crop.wide} * 3;
  const bool across = crop.width != from.width, down = crop.height != from.height;

  // The input rows that are needed: all that any kept output row is computed from.
  uint32_t first = crop.top, end = crop.top + crop.high;
  if (down) {
    down_.prepare(from.height, crop.height, crop.top, crop.top + crop.high, 0, Taps::Axis::down);
    first = down_.first.front();
    end = down_.first.back() + down_.count.back();
  }

  const uint8_t* rows = from.pixels + from.stride * first + size_t{crop.left - from.left} * 3;
  size_t stride = from.stride;
  if (across) {
    across_.prepare(from.width, crop.width, crop.left, crop.left + crop.wide, from.left, Taps::Axis::across);
    stride = row_bytes + kPadding;
    between_.resize(stride * (end - first));
    for (uint32_t y = first; y < end; ++y) {
      const uint8_t* row = from.pixels + from.stride * y;
      // The caller's memory ends within kPadding bytes.
      if (!from.padded && from.stride * (from.height - 1 - y) < kPadding) {
        last_.resize(size_t{from.width} * 3 + kPadding);
        std::memcpy(last_.data(), row, size_t{from.width} * 3);
        row = last_.data();
      }
      loops_.across(row, between_.data() + stride * (y - first), across_);
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
    loops_.down(rows_.data(), down_, y, out, row_bytes);
  }
}

}  // namespace zoo_impl
