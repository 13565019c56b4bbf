#pragma once

#include <ATen/core/Tensor.h>

#include <algorithm>
#include <cstdint>
#include <string_view>
#include <utility>

#include "kvtransfer/core/error.hpp"
#include "kvtransfer/rope/detail/positions.hpp"
#include "kvtransfer/rope/specification.hpp"

namespace kvtransfer::rope {

/// A rotation of every key, by q·f_to − p·f_from radians, times s_to / s_from: what every move is. Default: the
/// identity.
///
/// It is a value and has not happened yet. Rotations compose, and however many were composed, keys are rotated and
/// rounded once, when it is applied: a thousand shifts by one token are as exact as one shift by a thousand.
///
/// Positions are int64 `[seq]` or `[streams, batch or 1, kv_heads or 1, seq]`, tokens. Keys without `from` carry no
/// rotation yet; without `to` they are left with none; without both, every key moves by `delta` tokens under
/// `to_specification`.
struct rotation {
  at::Tensor from = {};                          ///< where keys stand; undefined: see above
  at::Tensor to = {};                            ///< where they shall stand; undefined: see above
  std::int64_t delta = 0;                        ///< tokens; read where neither list is given
  rotary_specification from_specification = {};  ///< under which they stand; read with `from`
  rotary_specification to_specification = {};    ///< under which they shall stand
  /// How far from 0 any of the positions is, where the caller knows: of those on a GPU nobody else does without
  /// waiting.
  std::int64_t reach = 0;

  /// What `rope::rotate` does.
  [[nodiscard]] static rotation rotate(at::Tensor positions, rotary_specification specification) {
    return {.to = std::move(positions), .to_specification = std::move(specification)};
  }
  /// What `rope::unrotate` does.
  [[nodiscard]] static rotation unrotate(at::Tensor positions, rotary_specification specification) {
    return {.from = std::move(positions), .from_specification = std::move(specification)};
  }
  /// What `rope::shift` does.
  [[nodiscard]] static rotation shift(std::int64_t delta, rotary_specification specification) {
    return {.delta = delta, .to_specification = std::move(specification)};
  }
  /// What `rope::remap` does.
  [[nodiscard]] static rotation remap(at::Tensor from, at::Tensor to, const rotary_specification& specification) {
    return reframe(std::move(from), specification, std::move(to), specification);
  }
  /// What `rope::reframe` does.
  [[nodiscard]] static rotation reframe(at::Tensor from, rotary_specification from_specification, at::Tensor to,
                                        rotary_specification to_specification) {
    return {std::move(from), std::move(to), 0, std::move(from_specification), std::move(to_specification)};
  }

  /// Whether every key moves by `delta`.
  [[nodiscard]] bool is_shared_delta() const { return !from.defined() && !to.defined(); }
  /// Whether nothing is to be done: what a rotation is by default.
  [[nodiscard]] bool is_identity() const {
    return is_shared_delta() && delta == 0 && to_specification == rotary_specification();
  }

  /// The specification that says which elements rotate in which pairs; both sides agree on that.
  [[nodiscard]] const rotary_specification& geometry() const {
    return from.defined() ? from_specification : to_specification;
  }

  /// s_to / s_from, where a side without rotation has s = 1.
  [[nodiscard]] double gain() const {
    const double stored = from.defined() ? from_specification.attention_scaling : 1.0;
    const double target = to.defined() ? to_specification.attention_scaling : 1.0;
    return target / stored;
  }

  /// This rotation and then `next`, as one.
  /// @throws frame_error unless `next` starts where this one ends: same positions, same specification
  [[nodiscard]] rotation then(const rotation& next) const {
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

 private:
  /// @throws frame_error unless keys rotated by this are keys that `next` can rotate
  void require_meeting(const rotation& next) const {
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
};

}  // namespace kvtransfer::rope
