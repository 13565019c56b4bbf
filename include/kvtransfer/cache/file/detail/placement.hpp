#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <limits>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "kvtransfer/core/error.hpp"
#include "kvtransfer/core/json_file.hpp"
#include "kvtransfer/tensor/safetensors_header.hpp"

namespace kvtransfer::detail {

/// A tensor that a file is going to hold.
struct unplaced_tensor {
  std::string name;
  safetensors_dtype dtype{};
  std::vector<std::int64_t> shape;
};

/// Gives every tensor its bytes: wider types first, so that each stands on its natural alignment without gaps, which
/// the format forbids; within a type in the order given, so that what is read together lies together.
/// @throws value_error for sizes below 0, or more than 2^63 - 1 bytes in all
inline safetensors_header place_tensors(std::vector<unplaced_tensor> tensors) {
  std::stable_sort(tensors.begin(), tensors.end(), [](const unplaced_tensor& a, const unplaced_tensor& b) {
    return describe(a.dtype).bytes > describe(b.dtype).bytes;
  });
  constexpr auto largest = static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max());
  safetensors_header header;
  std::uint64_t offset = 0;
  for (unplaced_tensor& tensor : tensors) {
    const bool sizes =
        std::all_of(tensor.shape.begin(), tensor.shape.end(), [](std::int64_t extent) { return extent >= 0; });
    const auto bytes = safetensors_bytes(tensor.shape, tensor.dtype);
    if (!sizes || !bytes || *bytes > largest - offset) {
      fail<value_error>("place_tensors", tensor.name, "sizes from 0, at most 2^63 - 1 bytes in all",
                        excerpt(tensor.shape));
    }
    header.tensors.emplace(std::move(tensor.name),
                           safetensors_entry{tensor.dtype, std::move(tensor.shape), offset, offset + *bytes});
    offset += *bytes;
  }
  return header;
}

}  // namespace kvtransfer::detail
