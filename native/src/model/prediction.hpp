// From the numbers of a network to what they mean; zoo/engines/tasks.py is the reference.
#pragma once

#include <cstdint>

#include "preprocess/preprocessor.hpp"

namespace zoo_impl {

void softmax(float* values, uint32_t count);
void sigmoid(float* values, uint32_t count);

// x, y with -1 and 1 at the crop's edges become pixels of the upright picture, in place. `count`: of points.
void to_picture(float* points, uint32_t count, const Framing& framing, Extent picture);

}  // namespace zoo_impl
