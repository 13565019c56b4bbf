#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

#include "kvtransfer/rope/specification.hpp"

namespace kvtransfer::rope {

/// One rotate of every key, the form that all moves lower to: by q·f_to − p·f_from radians, times s_to / s_from.
///
/// Positions are int64 `[seq]` or `[streams, batch or 1, kv_heads or 1, seq]`, tokens. Keys without `from` carry no
/// rotation yet; without `to` they are left with none; without both, every key moves by `delta` tokens under
/// `to_specification`.
struct rotation {
  at::Tensor from = {};
  at::Tensor to = {};
  std::int64_t delta = 0;
  rotary_specification from_specification = {};
  rotary_specification to_specification = {};

  bool is_shared_delta() const { return !from.defined() && !to.defined(); }

  /// The specification that says which elements rotate in which pairs; both sides agree on that.
  const rotary_specification& geometry() const { return from.defined() ? from_specification : to_specification; }

  /// s_to / s_from, where a side without rotation has s = 1.
  double gain() const {
    const double written = from.defined() ? from_specification.attention_scaling : 1.0;
    const double wanted = to.defined() ? to_specification.attention_scaling : 1.0;
    return wanted / written;
  }
};

}  // namespace kvtransfer::rope
