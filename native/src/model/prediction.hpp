// From a network's logits to scores or points; zoo/tasks/ is the reference.
#pragma once

#include <cstdint>

#include "preprocess/preprocessor.hpp"

namespace zoo_impl {

// In place: logits [count] become scores.
void softmax(float* values, uint32_t count);
void sigmoid(float* values, uint32_t count);

// In place: points float32 [count, 2] (x, y), -1 and 1 at the edges of the crop, become pixels of the upright picture.
void to_picture(float* points, uint32_t count, const Preprocessing& preprocessing, Extent picture);

}  // namespace zoo_impl
