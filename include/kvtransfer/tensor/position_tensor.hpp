#pragma once

#include <ATen/core/Tensor.h>

#include <algorithm>
#include <cstdint>
#include <vector>

#include "kvtransfer/core/position_map.hpp"
#include "kvtransfer/tensor/upload.hpp"

namespace kvtransfer {

namespace detail {

/// Fills a fresh host tensor of `sizes`, the last of them `seq`, run by run with `write(run, out)`, then moves it to
/// `device`.
template <class Scalar, class WriteRun>
at::Tensor fill_rows(const std::vector<position_row>& rows, at::IntArrayRef sizes, at::ScalarType dtype,
                     at::Device device, WriteRun&& write) {
  const at::Tensor tensor = upload_buffer(sizes, dtype, device);
  Scalar* out = tensor.mutable_data_ptr<Scalar>();
  for (const position_row& row : rows) {
    for (const position_run& run : row.runs()) {
      write(run, out);
      out += run.count;
    }
  }
  return uploaded(tensor, device);
}

}  // namespace detail

/// The positions of `map` as int64 `[streams, batch, kv_heads or 1, seq]`, tokens; padding reads 0.
inline at::Tensor position_tensor(const position_map& map, at::Device device = at::kCPU) {
  return detail::fill_rows<std::int64_t>(map.rows(), {map.streams(), map.batch(), map.heads(), map.size()}, at::kLong,
                                         device, [](const position_run& run, std::int64_t* out) {
                                           const bool padding = run.state.is_padding();
                                           for (std::int64_t i = 0; i < run.count; ++i) {
                                             out[i] = padding ? 0 : run.at(i);
                                           }
                                         });
}

/// Which slots hold a key: bool `[batch, kv_heads or 1, seq]`, false for padding. All streams of a slot agree.
inline at::Tensor visibility_tensor(const position_map& map, at::Device device = at::kCPU) {
  const std::vector<position_row> first_stream(map.rows().begin(), map.rows().begin() + map.batch() * map.heads());
  return detail::fill_rows<bool>(
      first_stream, {map.batch(), map.heads(), map.size()}, at::kBool, device,
      [](const position_run& run, bool* out) { std::fill(out, out + run.count, !run.state.is_padding()); });
}

}  // namespace kvtransfer
