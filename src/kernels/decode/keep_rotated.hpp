#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <optional>
#include <tuple>

namespace kvtransfer::kernels {

/// What a step's fresh queries, keys and values are rotated by and where keys and values are kept; keep_rotated.cpp
/// describes each.
struct kept_tensors {
  at::Tensor q;
  at::Tensor k;
  at::Tensor v;
  std::optional<at::Tensor> cos;
  std::optional<at::Tensor> sin;
  at::Tensor table_rows;
  at::Tensor sequences;
  at::Tensor lengths;
  at::Tensor tail_keys;
  at::Tensor tail_values;
  std::int64_t window_offset = 0;
  bool interleaved = false;

  /// All of them in the schema's order.
  [[nodiscard]] auto arguments() const {
    return std::tie(q, k, v, cos, sin, table_rows, sequences, lengths, tail_keys, tail_values, window_offset,
                    interleaved);
  }
};

/// The same, lowered: a plain struct for kernels. Strides in elements; heads lie side by side.
struct kept_rows {
  std::int64_t rows = 0;
  std::int64_t q_heads = 0;
  std::int64_t kv_heads = 0;
  std::int64_t head_dim = 0;
  std::int64_t half = 0;  ///< pairs that are rotated
  std::int64_t window_offset = 0;
  bool interleaved = false;
  std::int64_t q_stride = 0;
  std::int64_t k_stride = 0;
  std::int64_t v_stride = 0;
  std::int64_t length_stride = 0;
  std::int64_t tail = 0;
  const std::int64_t* table_rows = nullptr;
  const std::int64_t* sequences = nullptr;
  const std::int64_t* lengths = nullptr;
};

/// @throws shape_error, value_error, device_error naming what does not fit
[[nodiscard]] kept_rows lower(const kept_tensors& kept);

/// The operator on a GPU.
void keep_rotated_on_cuda(const kept_tensors& in);

/// Two elements of a head that belong together: those that are rotated first, then, in twos, those outside the rotary
/// window. @param pair below head_dim / 2
struct element_pair {
  std::int64_t first;
  std::int64_t second;
};

#if defined(__CUDACC__)
__host__ __device__
#endif
    inline element_pair elements_of_pair(const kept_rows& kept, std::int64_t pair) {
  if (pair < kept.half) {
    return kept.interleaved ? element_pair{kept.window_offset + 2 * pair, kept.window_offset + 2 * pair + 1}
                            : element_pair{kept.window_offset + pair, kept.window_offset + kept.half + pair};
  }
  const std::int64_t outside = 2 * (pair - kept.half);
  const auto behind_window = [&](std::int64_t i) { return i < kept.window_offset ? i : i + 2 * kept.half; };
  return {behind_window(outside), behind_window(outside + 1)};
}

}  // namespace kvtransfer::kernels
