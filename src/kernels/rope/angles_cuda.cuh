#pragma once

#include <cstdint>

#include "kernels/rope/angles.hpp"
#include "kernels/rope/lanes_cuda.cuh"
#include "kernels/rope/rotation_arguments.hpp"

// The angle of one pair of one token, by the rule of the turn.

namespace kvtransfer::rope::kernels {

/// What a pair's angle needs apart from positions; of the four numbers a rule reads some.
struct pair_frequency {
  std::uint32_t target_turns;
  std::uint32_t stored_turns;
  float target_value;
  float stored_value;
};

/// One token's positions, modulo 2^32, which angles ignore.
struct token_positions {
  std::uint32_t target = 0;
  std::uint32_t stored = 0;
};

/// The numbers of all pairs in shared memory. Threads of a warp read different pairs, which kernel parameters serve one
/// by one.
struct frequency_table {
  std::uint32_t* target_turns;
  std::uint32_t* stored_turns;
  float* target_value;
  float* stored_value;

  /// Floats of shared memory that it takes; pairs by fours, since parameters are read the faster the wider.
  __host__ __device__ static int floats(int pairs) { return 4 * ((pairs + 3) / 4 * 4); }

  /// Fills `memory`, aligned to 16 bytes, by all threads of the block; they must meet before the first reads.
  __device__ frequency_table(float* memory, const rotation_arguments& rotation) {
    const int length = floats(rotation.pairs) / 4;
    target_value = memory;
    stored_value = memory + length;
    target_turns = reinterpret_cast<std::uint32_t*>(memory + 2 * length);
    stored_turns = target_turns + length;
    const auto copy_four = [](auto* to, const auto* from, int pair) {
      *reinterpret_cast<uint4*>(to + pair) = *reinterpret_cast<const uint4*>(from + pair);
    };
    const int threads = blockDim.x * blockDim.y;
    for (int pair = 4 * (threadIdx.y * blockDim.x + threadIdx.x); pair < length; pair += 4 * threads) {
      copy_four(target_value, rotation.target_frequency.value, pair);
      copy_four(stored_value, rotation.stored_frequency.value, pair);
      copy_four(target_turns, rotation.target_frequency.turns, pair);
      copy_four(stored_turns, rotation.stored_frequency.turns, pair);
    }
  }

  __device__ pair_frequency at(int pair) const {
    return {target_turns[pair], stored_turns[pair], target_value[pair], stored_value[pair]};
  }
};

__device__ inline token_positions positions_at(const rotation_geometry& rotation, int stream, std::int64_t batch,
                                               std::int64_t head, std::int64_t token) {
  return {static_cast<std::uint32_t>(rotation.target.at(stream, batch, head, token)),
          static_cast<std::uint32_t>(rotation.stored.at(stream, batch, head, token))};
}

template <angle_rule Rule>
__device__ inline std::uint32_t angle_of(const pair_frequency& f, token_positions at) {
  if constexpr (Rule == angle_rule::difference) {
    return exact_angle<cuda_lanes>(at.target - at.stored, f.target_turns, f.target_value);
  } else if constexpr (Rule == angle_rule::two_frequencies) {
    return exact_angle_difference<cuda_lanes>(at.target, f.target_turns, f.target_value, at.stored, f.stored_turns,
                                              f.stored_value);
  } else {
    return model_angle<cuda_lanes>(at.target, f.target_value, at.stored, f.stored_value);
  }
}

/// The same in turns, less than one apart from zero, as a float: for pairs of 16 bits or fewer an element. Conversions
/// between floats and integers are slow, so there is one at most.
template <angle_rule Rule>
__device__ inline float rotations_of(const pair_frequency& f, token_positions at) {
  constexpr float turns_per_unit = 1 / 4294967296.0f;
  if constexpr (Rule == angle_rule::model_faithful) {
    const auto turns = model_turns<cuda_lanes>(at.target, f.target_value, at.stored, f.stored_value);
    return turns.nearest + turns.lack;
  } else if constexpr (Rule == angle_rule::difference) {
    const std::uint32_t tokens = at.target - at.stored;
    return (cuda_lanes::to_floats(tokens * f.target_turns) + cuda_lanes::to_floats(tokens) * f.target_value) *
           turns_per_unit;
  } else {
    const std::uint32_t units = at.target * f.target_turns - at.stored * f.stored_turns;
    const float rest =
        cuda_lanes::to_floats(at.target) * f.target_value - cuda_lanes::to_floats(at.stored) * f.stored_value;
    return (cuda_lanes::to_floats(units) + rest) * turns_per_unit;
  }
}

/// The same for a rule that is known at run time alone, `shared` excepted.
__device__ inline float rotations_of(angle_rule rule, const pair_frequency& f, token_positions at) {
  return rule == angle_rule::difference        ? rotations_of<angle_rule::difference>(f, at)
         : rule == angle_rule::two_frequencies ? rotations_of<angle_rule::two_frequencies>(f, at)
                                               : rotations_of<angle_rule::model_faithful>(f, at);
}

__device__ inline void rotate(float& x, float& y, float cosine, float sine) {
  const float turned = x * cosine - y * sine;
  y = y * cosine + x * sine;
  x = turned;
}

}  // namespace kvtransfer::rope::kernels
