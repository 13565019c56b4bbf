#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "kvtransfer/core/position_map.hpp"
#include "kvtransfer/tensor/upload.hpp"

namespace kvtransfer {

namespace detail {

/// The positions of `count` slots of `run` from slot `begin` on, padding as 0. No multiplication, so that it goes by
/// vectors.
void write_positions(const position_run& run, std::int64_t begin, std::int64_t count, std::int64_t* out);

/// Reads a row from left to right.
class position_reader {
 public:
  explicit position_reader(const position_row& row) : runs_(&row.runs()) {}

  /// The positions of `count` slots from `begin` on, no further left than the last call's slots.
  void read(std::int64_t begin, std::int64_t count, std::int64_t* out);

 private:
  const std::vector<position_run>* runs_;
  std::size_t index_ = 0;
  std::int64_t slot_ = 0;  // where that run begins
};

/// Fills a fresh host tensor of `sizes`, the last of them `seq`, run by run with `write(run, out)`, then moves it to
/// `device`.
template <class Scalar, class WriteRun>
[[nodiscard]] at::Tensor fill_rows(const std::vector<position_row>& rows, at::IntArrayRef sizes, at::ScalarType dtype,
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
[[nodiscard]] at::Tensor position_tensor(const position_map& map, at::Device device = at::kCPU);

/// Which slots hold a key: bool `[batch, kv_heads or 1, seq]`, false for padding. All streams of a slot agree.
[[nodiscard]] at::Tensor validity_tensor(const position_map& map, at::Device device = at::kCPU);

}  // namespace kvtransfer

#ifndef KVTRANSFER_COMPILED
#include "kvtransfer/tensor/detail/position_tensor.ipp"  // IWYU pragma: export
#endif
