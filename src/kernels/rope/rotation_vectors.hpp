#pragma once

#include <c10/macros/Macros.h>

#include <cstdint>
#include <type_traits>

#include "kernels/rope/elements.hpp"
#include "kernels/rope/rotation_arguments.hpp"

// One token of some heads, vector by vector, given its cosines and sines. Internal linkage, as in rotation_cpu.hpp.

namespace kvtransfer::rope::kernels {
namespace {

/// Calls `visit` with the number of pairs. The usual heads, of 64 and 128 dimensions, have their loops unrolled: that
/// doubles the speed of what is in cache.
template <class Lanes, class Visit>
void with_pairs(std::int64_t pairs, Visit&& visit) {
  if (Lanes::count > 1 && pairs == 32) {
    visit(std::integral_constant<std::int64_t, 32>());
  } else if (Lanes::count > 1 && pairs == 64) {
    visit(std::integral_constant<std::int64_t, 64>());
  } else {
    visit(pairs);
  }
}

/// One token in each of `Rows` heads that rotation by the same angles.
template <int Rows, class Element>
struct token_rows {
  const Element* source[Rows];
  Element* destination[Rows];
};

/// How the pairs of a head lie in memory, and how vectors of them are rotated. The two dimensions of pair i are
/// elements i and `pairs + i`, or, interleaved, 2i and 2i + 1.
template <class Lanes, bool Interleaved, class Element>
struct pair_layout {
  using floats = typename Lanes::floats;
  static constexpr std::int64_t step = Interleaved ? 2 : 1;

  /// Half-split bfloat16: reading neighbours as (even, odd) costs half of what widening each costs, so groups of two
  /// vectors are rotated that way, and the table holds their angles in that order.
  static constexpr bool in_groups = !Interleaved && std::is_same_v<Element, bfloat16> && Lanes::count > 1;
  static constexpr std::int64_t group = 2 * Lanes::count;

  /// The arguments with their pairs in the order in which `rotate_keys` reads cosines and sines.
  static rotation_arguments arranged(const rotation_arguments& arguments) {
    rotation_arguments result = arguments;
    for (std::int64_t first = 0; in_groups && first + group <= arguments.pairs; first += group) {
      for (std::int64_t i = 0; i < group; ++i) {
        const std::int64_t from = first + i % Lanes::count * 2 + i / Lanes::count;
        result.stream_of[first + i] = arguments.stream_of[from];
        result.target_frequency.turns[first + i] = arguments.target_frequency.turns[from];
        result.target_frequency.value[first + i] = arguments.target_frequency.value[from];
        result.stored_frequency.turns[first + i] = arguments.stored_frequency.turns[from];
        result.stored_frequency.value[first + i] = arguments.stored_frequency.value[from];
      }
    }
    return result;
  }

  /// Rotates one token's heads: groups where there are, then vectors, narrower ones where there are, then what is left.
  /// @param pairs an integer, or an integral constant, for which the loops below unroll
  template <int Rows, class Pairs>
  C10_ALWAYS_INLINE static void rotate(const token_rows<Rows, Element>& rows, const float* cosines, const float* sines,
                                       Pairs pairs) {
    std::int64_t pair = 0;
    if constexpr (in_groups) {
      for (; pair + group <= pairs; pair += group) {
        rotate_group(pair, rows, cosines, sines, pairs);
      }
    }
    rotation_from(pair, rows, cosines, sines, pairs);
  }

  /// Rotates the pairs from `pair` on.
  template <int Rows, class Pairs>
  C10_ALWAYS_INLINE static void rotation_from(std::int64_t pair, const token_rows<Rows, Element>& rows,
                                              const float* cosines, const float* sines, Pairs pairs) {
    for (; pair + Lanes::count <= pairs; pair += Lanes::count) {
      rotate_vector(pair, rows, cosines, sines, pairs);
    }
    if (pair == pairs) {
      return;
    }
    if constexpr (requires { typename Lanes::narrower; }) {
      pair_layout<typename Lanes::narrower, Interleaved, Element>::rotation_from(pair, rows, cosines, sines, pairs);
    } else {
      for (int i = 0; i < Rows; ++i) {
        turn_remainder(rows.source[i] + pair * step, rows.destination[i] + pair * step, cosines + pair, sines + pair,
                       pairs, pairs - pair);
      }
    }
  }

 private:
  template <int Rows>
  C10_ALWAYS_INLINE static void rotate_vector(std::int64_t pair, const token_rows<Rows, Element>& rows,
                                              const float* cosines, const float* sines, std::int64_t pairs) {
    const floats cosine = Lanes::load(cosines + pair);
    const floats sine = Lanes::load(sines + pair);
    for (int i = 0; i < Rows; ++i) {
      const Element* const source = rows.source[i] + pair * step;
      Element* const destination = rows.destination[i] + pair * step;
      floats x, y;
      if constexpr (Interleaved) {
        Lanes::load_pairs(source, x, y);
        Lanes::store_pairs(destination, x * cosine - y * sine, y * cosine + x * sine);
      } else {
        x = Lanes::load(source);
        y = Lanes::load(source + pairs);
        Lanes::store(destination, x * cosine - y * sine);
        Lanes::store(destination + pairs, y * cosine + x * sine);
      }
    }
  }

  template <int Rows>
  C10_ALWAYS_INLINE static void rotate_group(std::int64_t pair, const token_rows<Rows, Element>& rows,
                                             const float* cosines, const float* sines, std::int64_t pairs) {
    const floats even_cosine = Lanes::load(cosines + pair);
    const floats odd_cosine = Lanes::load(cosines + pair + Lanes::count);
    const floats even_sine = Lanes::load(sines + pair);
    const floats odd_sine = Lanes::load(sines + pair + Lanes::count);
    for (int i = 0; i < Rows; ++i) {
      const Element* const source = rows.source[i] + pair;
      Element* const destination = rows.destination[i] + pair;
      floats even_x, odd_x, even_y, odd_y;
      Lanes::load_pairs(source, even_x, odd_x);
      Lanes::load_pairs(source + pairs, even_y, odd_y);
      Lanes::store_pairs(destination, even_x * even_cosine - even_y * even_sine, odd_x * odd_cosine - odd_y * odd_sine);
      Lanes::store_pairs(destination + pairs, even_y * even_cosine + even_x * even_sine,
                         odd_y * odd_cosine + odd_x * odd_sine);
    }
  }

  /// Rotates fewer pairs than a vector holds, in a padded copy.
  static void turn_remainder(const Element* source, Element* destination, const float* cosines, const float* sines,
                             std::int64_t pairs, std::int64_t left) {
    constexpr std::int64_t second_in_copy = Interleaved ? 1 : Lanes::count;
    const std::int64_t second = Interleaved ? 1 : pairs;
    Element copy[2 * Lanes::count] = {};
    for (std::int64_t i = 0; i < left; ++i) {
      copy[i * step] = source[i * step];
      copy[i * step + second_in_copy] = source[i * step + second];
    }
    rotate_vector<1>(0, {{copy}, {copy}}, cosines, sines, Lanes::count);
    for (std::int64_t i = 0; i < left; ++i) {
      destination[i * step] = copy[i * step];
      destination[i * step + second] = copy[i * step + second_in_copy];
    }
  }
};

}  // namespace
}  // namespace kvtransfer::rope::kernels
