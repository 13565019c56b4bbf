#pragma once

#include <ATen/core/Tensor.h>

#include <algorithm>
#include <cstdint>
#include <string_view>
#include <utility>

#include "kvtransfer/core/compiled.hpp"
#include "kvtransfer/core/error.hpp"
#include "kvtransfer/rope/detail/positions.hpp"
#include "kvtransfer/rope/rotation.hpp"
#include "kvtransfer/rope/specification.hpp"

namespace kvtransfer::rope {

KVTRANSFER_INLINE rotation rotation::rotate(at::Tensor positions, rotary_specification specification) {
  return {.to = std::move(positions), .to_specification = std::move(specification)};
}

KVTRANSFER_INLINE rotation rotation::unrotate(at::Tensor positions, rotary_specification specification) {
  return {.from = std::move(positions), .from_specification = std::move(specification)};
}

KVTRANSFER_INLINE rotation rotation::shift(std::int64_t delta, rotary_specification specification) {
  return {.delta = delta, .to_specification = std::move(specification)};
}

KVTRANSFER_INLINE rotation rotation::remap(at::Tensor from, at::Tensor to, const rotary_specification& specification) {
  return reframe(std::move(from), specification, std::move(to), specification);
}

KVTRANSFER_INLINE rotation rotation::reframe(at::Tensor from, rotary_specification from_specification, at::Tensor to,
                                             rotary_specification to_specification) {
  return {std::move(from), std::move(to), 0, std::move(from_specification), std::move(to_specification)};
}

KVTRANSFER_INLINE bool rotation::is_identity() const {
  return is_shared_delta() && delta == 0 && to_specification == rotary_specification();
}

KVTRANSFER_INLINE const rotary_specification& rotation::geometry() const {
  return from.defined() ? from_specification : to_specification;
}

KVTRANSFER_INLINE double rotation::gain() const {
  const double stored = from.defined() ? from_specification.attention_scaling : 1.0;
  const double target = to.defined() ? to_specification.attention_scaling : 1.0;
  return target / stored;
}

KVTRANSFER_INLINE rotation rotation::then(const rotation& next) const {
  if (is_identity() || next.is_identity()) {
    return is_identity() ? next : *this;
  }
  require_meeting(next);
  rotation joined = *this;
  joined.reach = std::max(reach, next.reach);
  if (is_shared_delta() && next.is_shared_delta()) {
    require<value_error>(!__builtin_add_overflow(delta, next.delta, &joined.delta), "rotation::then", "delta",
                         "a 64-bit integer", formatted("{} + {}", delta, next.delta));
  } else if (is_shared_delta()) {
    joined = next;
    joined.from = joined.from.sub(delta);
  } else if (next.is_shared_delta()) {
    joined.to = joined.to.add(next.delta);
  } else {
    joined.to = next.to;
    joined.to_specification = next.to_specification;
  }
  const bool comes_back_unrotated = joined.is_shared_delta() && !is_shared_delta();
  return comes_back_unrotated ? rotation() : joined;
}

KVTRANSFER_INLINE void rotation::require_meeting(const rotation& next) const {
  const auto refuse = [](std::string_view expected, std::string_view got) {
    fail<frame_error>("rotation::then", "next", expected, got);
  };
  const bool rotated = is_shared_delta() || to.defined();
  if (rotated != (next.is_shared_delta() || next.from.defined())) {
    refuse(rotated ? "keys without rotation" : "rotated keys", rotated ? "rotated keys" : "keys without rotation");
  }
  if (!rotated) {
    return;
  }
  if (!(to_specification == next.geometry())) {
    refuse(describe(next.geometry()), describe(to_specification));
  }
  if (to.defined() && next.from.defined()) {
    const at::Tensor end = detail::positions_as_4d(to, "rotation::then", "to");
    const at::Tensor start = detail::positions_as_4d(next.from, "rotation::then", "from");
    if (end.size(-1) != start.size(-1) || !end.eq(start).all().item<bool>()) {
      refuse("to start at the positions where the first rotation ends", "different positions");
    }
  }
}

}  // namespace kvtransfer::rope
