#pragma once

#include <c10/macros/Macros.h>

// The angle arithmetic of every kernel. `Lanes` says what a vector is on one machine: AVX-512, AVX2, plain numbers, or
// what one CUDA thread holds. It gives `floats` and 32-bit unsigned `integers` (both with + - *), `product` (never
// fused with what follows), `fma`, `rint`, `broadcast`, `nearest` (floats to integers), `to_floats` (integers, as
// signed) and `turn_quarters`.
//
// An angle is an integer in units of 2^-32 turns. It wraps as angles do, so a position times a frequency is reduced by
// nothing more than integer multiplication, and sums and differences of angles are exact.

namespace kvtransfer::rope::kernels {

/// tokens * f, for a frequency of `turns + rest` units per token, |rest| <= 1/2: to 1e-8 radians for |tokens| < 2^27.
template <class Lanes, class Integers = typename Lanes::integers, class Floats = typename Lanes::floats>
C10_HOST_DEVICE inline Integers exact_angle(Integers tokens, Integers turns, Floats rest) {
  return tokens * turns + Lanes::nearest(Lanes::to_floats(tokens) * rest);
}

/// q * f_target - p * f_stored, both frequencies as above: to 1e-8 radians for |q|, |p| <= 2^24.
template <class Lanes, class Integers = typename Lanes::integers, class Floats = typename Lanes::floats>
C10_HOST_DEVICE inline Integers exact_angle_difference(Integers q, Integers target_turns, Floats target_rest,
                                                       Integers p, Integers stored_turns, Floats stored_rest) {
  const Floats rest = Lanes::to_floats(q) * target_rest - Lanes::to_floats(p) * stored_rest;
  return (q * target_turns - p * stored_turns) + Lanes::nearest(rest);
}

/// A number of turns less than one apart from zero, as a float and what that lacks.
template <class Floats>
struct part_of_turn {
  Floats nearest;
  Floats lack;
};

/// fl32(q * f_target) - fl32(p * f_stored): the difference of the two angles, in radians, that a model in fp32
/// computes, in turns and without the whole ones.
///
/// It is kept as a float and the float that it lacks (Knuth's two-sum), and so is its product with 1 / 2 pi: nothing
/// but the model's own rounding counts.
template <class Lanes, class Integers = typename Lanes::integers, class Floats = typename Lanes::floats>
C10_HOST_DEVICE inline part_of_turn<Floats> model_turns(Integers q, Floats target_frequency, Integers p,
                                                        Floats stored_frequency) {
  constexpr float turns_per_radian = 0.159154937f;
  constexpr float turns_per_radian_lacks = 6.42063832e-9f;
  const Floats target = Lanes::product(Lanes::to_floats(q), target_frequency);
  const Floats stored = Lanes::product(Lanes::to_floats(p), stored_frequency);
  const Floats radians = target - stored;
  const Floats back = radians - target;
  const Floats radians_lack = (target - (radians - back)) - (stored + back);
  const Floats turns = Lanes::product(radians, Lanes::broadcast(turns_per_radian));
  const Floats turns_lack = Lanes::fma(radians, Lanes::broadcast(turns_per_radian), -turns) +
                            (radians * turns_per_radian_lacks + radians_lack * turns_per_radian);
  return {turns - Lanes::rint(turns), turns_lack};
}

/// The same as an angle.
template <class Lanes, class Integers = typename Lanes::integers, class Floats = typename Lanes::floats>
C10_HOST_DEVICE inline Integers model_angle(Integers q, Floats target_frequency, Integers p, Floats stored_frequency) {
  constexpr float units_per_turn = 4294967296.0f;
  const part_of_turn<Floats> turns = model_turns<Lanes>(q, target_frequency, p, stored_frequency);
  return Lanes::nearest(turns.nearest * units_per_turn) + Lanes::nearest(turns.lack * units_per_turn);
}

/// Cosine and sine of an angle. The nearest quarter turn is taken off; on what is left, |v| <= 1/2 quarter turns, the
/// polynomials are minimax: 4e-10 absolute for the cosine, 4e-9 relative for the sine.
template <class Lanes, class Integers = typename Lanes::integers, class Floats = typename Lanes::floats>
C10_HOST_DEVICE inline void cosine_and_sine(Integers angle, Floats& cosine, Floats& sine) {
  constexpr float quarters_per_unit = 1 / 4294967296.0f;
  const Floats v = Lanes::to_floats(angle << 2) * quarters_per_unit;
  const Floats square = v * v;
  // pi / 2 as a float plus what it lacks, so that the leading term costs one rounding.
  sine = v * 1.57079637f +
         v * (square * (square * (square * -0.00460373191f + 0.0796810836f) - 0.645963609f) - 4.37113900e-8f);
  cosine =
      square * (square * (square * (square * 0.000893509598f - 0.0208552536f) + 0.253668517f) - 1.23370051f) + 1.0f;
  Lanes::turn_quarters(angle, cosine, sine);
}

}  // namespace kvtransfer::rope::kernels
