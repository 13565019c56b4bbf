#include "kernels/rope/lanes_scalar.hpp"
#include "kernels/rope/rotation_cpu.hpp"
#include "kernels/rope/rotation_launch.hpp"

// Compiled for any machine; also takes the element types that no CPU converts quickly.

namespace kvtransfer::rope::kernels {

void rotate_range_scalar(const rotation_arguments& arguments, const layer_keys* layers, const rotation_order& order,
                         std::int64_t begin, std::int64_t end) {
  switch (arguments.element) {
    case element_type::float32:
      return rotate_range<scalar_lanes, float>(arguments, layers, order, begin, end);
    case element_type::bfloat16:
      return rotate_range<scalar_lanes, bfloat16>(arguments, layers, order, begin, end);
    case element_type::float16:
      return rotate_range<scalar_lanes, float16>(arguments, layers, order, begin, end);
    case element_type::float8_e4m3:
      return rotate_range<scalar_lanes, float8_e4m3>(arguments, layers, order, begin, end);
    case element_type::float8_e5m2:
      return rotate_range<scalar_lanes, float8_e5m2>(arguments, layers, order, begin, end);
  }
}

}  // namespace kvtransfer::rope::kernels
