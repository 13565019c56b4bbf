#pragma once

#include <c10/macros/Macros.h>

#include <cstdint>

#include "kernels/rope/elements.hpp"

namespace kvtransfer::rope::kernels {

/// Most pairs of dimensions that one head may rotate (rotary_dim 512), so that every table fits a kernel's parameters.
inline constexpr int max_pairs = 256;

/// How a pair's angle follows from the key's two positions, p (stored) and q (target).
enum class angle_rule : std::uint8_t {
  shared,           ///< the same angle for every token: cosine and sine come ready from the host
  difference,       ///< (q - p) * f: both sides have one frequency
  two_frequencies,  ///< q * f_target - p * f_stored
  model_faithful,   ///< the same difference of the fp32 products a model computes, each with its own rounding
};

/// Two numbers a pair, read according to the rule. Entries past the last pair are 0, so that whole vectors may be read.
///
/// - `difference`, `two_frequencies`: 2^-32 turns per token, in `turns` to the nearest integer, in `value` the fraction
///   which that lacks
/// - `model_faithful`: in `value` radians per token
/// - `shared`: in `value` the cosine (target) or sine (stored), times the gain
struct alignas(16) frequencies {
  std::uint32_t turns[max_pairs] = {};
  float value[max_pairs] = {};
};

/// int64 positions in tokens, read at [stream, batch, head, token] through strides of which any may be 0.
struct position_source {
  const std::int64_t* data = nullptr;  ///< null: the key carries (or shall carry) no rotation, position 0
  std::int64_t stream_stride = 0;
  std::int64_t batch_stride = 0;
  std::int64_t head_stride = 0;
  std::int64_t token_stride = 0;

  C10_ALWAYS_INLINE C10_HOST_DEVICE std::int64_t at(std::int64_t stream, std::int64_t batch, std::int64_t head,
                                                    std::int64_t token) const {
    return data == nullptr
               ? 0
               : data[stream * stream_stride + batch * batch_stride + head * head_stride + token * token_stride];
  }
};

/// Elements between neighbours; the last dimension is contiguous.
struct key_strides {
  std::int64_t batch = 0;
  std::int64_t head = 0;
  std::int64_t token = 0;

  friend bool operator==(const key_strides&, const key_strides&) = default;
};

/// Where one layer's keys are read and written: the first rotated element of the first head. Both may be the same.
struct layer_keys {
  const void* source = nullptr;
  void* destination = nullptr;
};

/// What a rotation does to each layer, apart from the numbers of each pair.
struct rotation_geometry {
  const std::int64_t* rows = nullptr;  ///< where in the keys' batch axis each row lies; null: row b at b
  std::int64_t batch = 0;
  std::int64_t kv_heads = 0;
  std::int64_t seq = 0;
  key_strides source;
  key_strides destination;
  position_source stored;
  position_source target;
  float gain = 1;  ///< multiplies the rotated dimensions; the rule `shared` has it in its table already
  std::int32_t pairs = 0;
  element_type element = element_type::float32;
  angle_rule rule = angle_rule::shared;
  bool interleaved = false;   ///< a pair is (2i, 2i + 1); otherwise (i, pairs + i)
  bool many_streams = false;  ///< pair i reads its positions on stream `stream_of[i]`; otherwise on stream 0

  C10_ALWAYS_INLINE C10_HOST_DEVICE std::int64_t row(std::int64_t batch_row) const {
    return rows == nullptr ? batch_row : rows[batch_row];
  }
};

/// All that a kernel must know to rotate keys, apart from the layers' addresses. Every device's kernel takes this one
/// struct.
struct rotation_arguments : rotation_geometry {
  std::uint8_t stream_of[max_pairs] = {};
  frequencies stored_frequency;
  frequencies target_frequency;
};

}  // namespace kvtransfer::rope::kernels
