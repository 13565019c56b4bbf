#pragma once

#include <cstdint>

#include "kernels/rope/angles.hpp"
#include "kernels/rope/rotation_arguments.hpp"

// The angles of the CPU kernel's tokens, vector by vector. Internal linkage, as in rotation_cpu.hpp.

namespace kvtransfer::rope::kernels {
namespace {

/// How many tokens multiply a pair's frequency. One number for all pairs, or, where streams differ, one for each.
template <class Lanes>
struct pair_tokens {
  bool differ;
  typename Lanes::integers same;
  alignas(64) std::uint32_t each[max_pairs];

  template <class Position>
  void read(const rotation_arguments& arguments, const Position& position) {
    differ = arguments.many_streams;
    same = Lanes::broadcast(static_cast<std::uint32_t>(position(0)));
    for (std::int32_t pair = 0; differ && pair < arguments.pairs; ++pair) {
      each[pair] = static_cast<std::uint32_t>(position(arguments.stream_of[pair]));
    }
  }
  [[nodiscard]] typename Lanes::integers at(std::int64_t pair) const {
    return differ ? Lanes::load(each + pair) : same;
  }
};

/// Works out the cosines and sines of one token after another.
template <class Lanes>
struct angle_source {
  using floats = typename Lanes::floats;

  const rotation_arguments& arguments;
  pair_tokens<Lanes> target;
  pair_tokens<Lanes> stored;

  template <angle_rule Rule>
  void move_to(std::int64_t batch, std::int64_t head, std::int64_t token) {
    const auto q = [&](std::int64_t stream) { return arguments.target.at(stream, batch, head, token); };
    const auto p = [&](std::int64_t stream) { return arguments.stored.at(stream, batch, head, token); };
    if constexpr (Rule == angle_rule::difference) {
      target.read(arguments, [&](std::int64_t stream) { return q(stream) - p(stream); });
    } else {
      target.read(arguments, q);
      stored.read(arguments, p);
    }
  }

  template <angle_rule Rule>
  [[nodiscard]] typename Lanes::integers at(std::int64_t pair) const {
    const frequencies& f_target = arguments.target_frequency;
    const frequencies& f_stored = arguments.stored_frequency;
    const floats target_value = Lanes::load(f_target.value + pair);
    const floats stored_value = Lanes::load(f_stored.value + pair);
    if constexpr (Rule == angle_rule::model_faithful) {
      return model_angle<Lanes>(target.at(pair), target_value, stored.at(pair), stored_value);
    } else if constexpr (Rule == angle_rule::difference) {
      return exact_angle<Lanes>(target.at(pair), Lanes::load(f_target.turns + pair), target_value);
    } else {
      return exact_angle_difference<Lanes>(target.at(pair), Lanes::load(f_target.turns + pair), target_value,
                                           stored.at(pair), Lanes::load(f_stored.turns + pair), stored_value);
    }
  }

  template <angle_rule Rule, class Pairs>
  void fill(std::int64_t batch, std::int64_t head, std::int64_t token, float* cosines, float* sines, Pairs pairs) {
    move_to<Rule>(batch, head, token);
    const floats gain = Lanes::broadcast(arguments.gain);
    for (std::int64_t pair = 0; pair < pairs; pair += Lanes::count) {
      floats cosine, sine;
      cosine_and_sine<Lanes>(at<Rule>(pair), cosine, sine);
      Lanes::store(cosines + pair, cosine * gain);
      Lanes::store(sines + pair, sine * gain);
    }
  }

  template <class Pairs>
  void fill(std::int64_t batch, std::int64_t head, std::int64_t token, float* cosines, float* sines, Pairs pairs) {
    switch (arguments.rule) {
      case angle_rule::shared:
        return;  // the table's one row is filled already
      case angle_rule::difference:
        return fill<angle_rule::difference>(batch, head, token, cosines, sines, pairs);
      case angle_rule::two_frequencies:
        return fill<angle_rule::two_frequencies>(batch, head, token, cosines, sines, pairs);
      case angle_rule::model_faithful:
        return fill<angle_rule::model_faithful>(batch, head, token, cosines, sines, pairs);
    }
  }
};

}  // namespace
}  // namespace kvtransfer::rope::kernels
