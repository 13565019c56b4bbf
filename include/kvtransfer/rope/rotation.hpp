#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

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
  [[nodiscard]] static rotation rotate(at::Tensor positions, rotary_specification specification);
  /// What `rope::unrotate` does.
  [[nodiscard]] static rotation unrotate(at::Tensor positions, rotary_specification specification);
  /// What `rope::shift` does.
  [[nodiscard]] static rotation shift(std::int64_t delta, rotary_specification specification);
  /// What `rope::remap` does.
  [[nodiscard]] static rotation remap(at::Tensor from, at::Tensor to, const rotary_specification& specification);
  /// What `rope::reframe` does.
  [[nodiscard]] static rotation reframe(at::Tensor from, rotary_specification from_specification, at::Tensor to,
                                        rotary_specification to_specification);

  /// Whether every key moves by `delta`.
  [[nodiscard]] bool is_shared_delta() const { return !from.defined() && !to.defined(); }
  /// Whether nothing is to be done: what a rotation is by default.
  [[nodiscard]] bool is_identity() const;

  /// The specification that says which elements rotate in which pairs; both sides agree on that.
  [[nodiscard]] const rotary_specification& geometry() const;

  /// s_to / s_from, where a side without rotation has s = 1.
  [[nodiscard]] double gain() const;

  /// This rotation and then `next`, as one.
  /// @throws frame_error unless `next` starts where this one ends: same positions, same specification
  [[nodiscard]] rotation then(const rotation& next) const;

 private:
  /// @throws frame_error unless keys rotated by this are keys that `next` can rotate
  void require_meeting(const rotation& next) const;
};

}  // namespace kvtransfer::rope

#ifndef KVTRANSFER_COMPILED
#include "kvtransfer/rope/detail/rotation.ipp"  // IWYU pragma: export
#endif
