#include "model/prediction.hpp"

#include <algorithm>
#include <cmath>

namespace zoo_impl {

void softmax(float* values, uint32_t count) {
  const float highest = *std::max_element(values, values + count);
  double sum = 0;
  for (uint32_t i = 0; i < count; ++i) sum += values[i] = std::exp(values[i] - highest);
  for (uint32_t i = 0; i < count; ++i) values[i] = static_cast<float>(values[i] / sum);
}

void sigmoid(float* values, uint32_t count) {
  // exp of a negative number only: no overflow at either end.
  for (uint32_t i = 0; i < count; ++i) {
    const float small = std::exp(-std::fabs(values[i]));
    values[i] = (values[i] >= 0 ? 1.0f : small) / (1.0f + small);
  }
}

void to_picture(float* points, uint32_t count, const Preprocessing& preprocessing, Extent picture) {
  const Crop crop = crop_of(picture, preprocessing);
  const double inside[2] = {static_cast<double>(preprocessing.width), static_cast<double>(preprocessing.height)};
  const double corner[2] = {static_cast<double>(crop.left), static_cast<double>(crop.top)};
  const double scale[2] = {static_cast<double>(picture.width) / crop.width,
                           static_cast<double>(picture.height) / crop.height};
  for (uint32_t i = 0; i < 2 * count; ++i) {
    const double in_crop = (points[i] + 1.0) / 2 * inside[i % 2];
    points[i] = static_cast<float>((in_crop + corner[i % 2]) * scale[i % 2]) - 0.5f;
  }
}

}  // namespace zoo_impl
