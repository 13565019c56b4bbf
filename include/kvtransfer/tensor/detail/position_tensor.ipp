#pragma once

#include <ATen/core/Tensor.h>

#include <algorithm>
#include <cstdint>
#include <numeric>
#include <vector>

#include "kvtransfer/core/compiled.hpp"
#include "kvtransfer/core/position_map.hpp"
#include "kvtransfer/tensor/position_tensor.hpp"

namespace kvtransfer::detail {

KVTRANSFER_INLINE void write_positions(const position_run& run, std::int64_t begin, std::int64_t count,
                                       std::int64_t* out) {
  if (run.state.is_padding() || run.step == 0) {
    std::fill_n(out, count, run.state.is_padding() ? 0 : run.first);
  } else {
    std::iota(out, out + count, run.at(begin));
  }
}

KVTRANSFER_INLINE void position_reader::read(std::int64_t begin, std::int64_t count, std::int64_t* out) {
  while (count > 0) {
    const position_run& run = runs_->at(index_);
    const std::int64_t inside = begin - slot_;
    const std::int64_t taken = std::min(count, run.count - inside);
    if (taken <= 0) {
      slot_ += run.count;
      ++index_;
      continue;
    }
    write_positions(run, inside, taken, out);
    begin += taken;
    count -= taken;
    out += taken;
  }
}

}  // namespace kvtransfer::detail

namespace kvtransfer {

KVTRANSFER_INLINE at::Tensor position_tensor(const position_map& map, at::Device device) {
  return detail::fill_rows<std::int64_t>(
      map.rows(), {map.streams(), map.batch(), map.heads(), map.size()}, at::kLong, device,
      [](const position_run& run, std::int64_t* out) { detail::write_positions(run, 0, run.count, out); });
}

KVTRANSFER_INLINE at::Tensor validity_tensor(const position_map& map, at::Device device) {
  const std::vector<position_row> first_stream(map.rows().begin(), map.rows().begin() + map.batch() * map.heads());
  return detail::fill_rows<bool>(
      first_stream, {map.batch(), map.heads(), map.size()}, at::kBool, device,
      [](const position_run& run, bool* out) { std::fill(out, out + run.count, !run.state.is_padding()); });
}

}  // namespace kvtransfer
