#pragma once

#include <cstddef>
#include <vector>

#include "kvtransfer/tensor/safetensors_header.hpp"

namespace kvtransfer::detail {

/// A tensor of a cache's frame, ready to be written.
struct frame_tensor {
  unplaced_tensor declaration;
  std::vector<std::byte> bytes;
};

}  // namespace kvtransfer::detail
