#pragma once

#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <fmt/format.h>

#include <cstdint>
#include <optional>
#include <string_view>
#include <utility>

#include "kvtransfer/core/error.hpp"
#include "kvtransfer/rope/options.hpp"
#include "kvtransfer/rope/detail/positions.hpp"
#include "kvtransfer/rope/specification.hpp"
#include "kvtransfer/rope/rotate_keys.hpp"
#include "kvtransfer/rope/rotation.hpp"

namespace kvtransfer::rope {

/// A move of keys that has not happened yet. Moves compose, and however many were composed, the keys are rotated and
/// rounded once, when it is applied: a thousand shifts by one token are as exact as one shift by a thousand.
class move {
 public:
  /// The move that changes nothing.
  move() = default;

  static move rotate(at::Tensor positions, rotary_specification specification) {
    return move({.to = std::move(positions), .to_specification = std::move(specification)});
  }
  static move unrotate(at::Tensor positions, rotary_specification specification) {
    return move({.from = std::move(positions), .from_specification = std::move(specification)});
  }
  static move shift(std::int64_t delta, rotary_specification specification) {
    return move({.delta = delta, .to_specification = std::move(specification)});
  }
  static move remap(at::Tensor from, at::Tensor to, const rotary_specification& specification) {
    return reframe(std::move(from), specification, std::move(to), specification);
  }
  static move reframe(at::Tensor from, rotary_specification from_specification, at::Tensor to,
                      rotary_specification to_specification) {
    return move({.from = std::move(from),
                 .to = std::move(to),
                 .from_specification = std::move(from_specification),
                 .to_specification = std::move(to_specification)});
  }

  /// This move and then `next`, as one.
  /// @throws frame_error unless `next` starts where this move ends: same positions, same specification
  move then(const move& next) const {
    if (is_identity() || next.is_identity()) {
      return is_identity() ? next : *this;
    }
    require_meeting(*rotation_, *next.rotation_);
    rotation joined = *rotation_;
    if (joined.is_shared_delta() && next.rotation_->is_shared_delta()) {
      joined.delta += next.rotation_->delta;
    } else if (joined.is_shared_delta()) {
      const std::int64_t delta = joined.delta;
      joined = *next.rotation_;
      joined.from = joined.from - delta;
    } else if (next.rotation_->is_shared_delta()) {
      joined.to = joined.to + next.rotation_->delta;
    } else {
      joined.to = next.rotation_->to;
      joined.to_specification = next.rotation_->to_specification;
    }
    const bool comes_back_unrotated = joined.is_shared_delta() && !rotation_->is_shared_delta();
    return comes_back_unrotated ? move() : move(std::move(joined));
  }

  bool is_identity() const { return !rotation_.has_value(); }

  /// The one rotation that this move amounts to; nothing for the identity.
  const std::optional<rotation>& as_rotation() const { return rotation_; }

  /// Moved keys. Differentiable.
  /// @param keys `[batch, kv_heads, seq, head_dim]`, floating, any strides
  /// @throws as `rotate_keys`
  at::Tensor apply(const at::Tensor& keys, const options& how = {}) const {
    return is_identity() ? keys.clone() : rotate_keys({keys}, *rotation_, how, "move").front();
  }

  /// `apply` in place. @throws as `rotate_keys_`
  void apply_(const at::Tensor& keys, const options& how = {}) const {
    if (!is_identity()) {
      rotate_keys_({keys}, *rotation_, how, "move");
    }
  }

 private:
  explicit move(rotation rotation) : rotation_(std::move(rotation)) {}

  /// @throws frame_error unless keys moved by `first` are keys that `second` can move
  static void require_meeting(const rotation& first, const rotation& second) {
    const bool rotated = first.is_shared_delta() || first.to.defined();
    if (rotated != (second.is_shared_delta() || second.from.defined())) {
      refuse(rotated ? "keys without rotation" : "rotated keys", rotated ? "rotated keys" : "keys without rotation");
    }
    if (!rotated) {
      return;
    }
    const rotary_specification& before = second.from.defined() ? second.from_specification : second.to_specification;
    if (!(first.to_specification == before)) {
      refuse(describe(before), describe(first.to_specification));
    }
    if (first.to.defined() && second.from.defined()) {
      const at::Tensor end = positions_as_4d(first.to, "move::then", "to");
      const at::Tensor start = positions_as_4d(second.from, "move::then", "from");
      if (end.size(-1) != start.size(-1) || !(end == start).all().item<bool>()) {
        refuse("to start at the positions where the first move ends", "other positions");
      }
    }
  }

  [[noreturn]] static void refuse(std::string_view expected, std::string_view got) {
    fail<frame_error>("move::then", "next", expected, got);
  }

  std::optional<rotation> rotation_;
};

}  // namespace kvtransfer::rope
