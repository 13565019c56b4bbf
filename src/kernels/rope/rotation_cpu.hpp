#pragma once

#include <c10/macros/Macros.h>

#include <cstdint>

#include "kernels/rope/angle_source.hpp"
#include "kernels/rope/cpu_variant.hpp"
#include "kernels/rope/elements.hpp"
#include "kernels/rope/rotation_arguments.hpp"
#include "kernels/rope/rotation_order.hpp"
#include "kernels/rope/rotation_vectors.hpp"

// The CPU kernel, written once over `Lanes` and compiled once per instruction set (cpu_variant_*.cpp). Plain pointers
// and loops only: a function of the standard library emitted here would be compiled for one instruction set and linked
// for all. For the same reason all of it has internal linkage.

namespace kvtransfer::rope::kernels {
namespace {

/// Cosines and sines of one block of tokens, gain included.
struct angle_table {
  alignas(64) float cosines[table_floats];
  alignas(64) float sines[table_floats];
  std::int64_t token_stride;  ///< floats between tokens; 0: one row serves every token
};

/// A unit's rows at its first token.
template <class Element>
struct unit_rows {
  std::int64_t count;
  std::int64_t tokens;
  std::int64_t first_token;
  std::int64_t batch;  ///< of the first row, whose positions all rows share
  std::int64_t head;
  std::int64_t angles;  ///< units of one number have the same angles
  const Element* source[rows_per_unit];
  Element* destination[rows_per_unit];
};

template <class Element>
unit_rows<Element> rows_of(const rotation_arguments& arguments, const layer_keys* layers, const rotation_order& order,
                           std::int64_t index) {
  unit_rows<Element> rows;
  rows.angles = index / order.units_per_block;
  const std::int64_t first_row = index % order.units_per_block * rows_per_unit;
  const std::int64_t group = rows.angles / order.blocks;
  rows.first_token = rows.angles % order.blocks * order.tokens_per_block;
  const std::int64_t left = arguments.seq - rows.first_token;
  rows.tokens = left < order.tokens_per_block ? left : order.tokens_per_block;
  rows.count = order.rows - first_row < rows_per_unit ? order.rows - first_row : rows_per_unit;
  for (std::int64_t i = 0; i < rows_per_unit; ++i) {
    const rotate_row row = row_at(order, group, first_row + (i < rows.count ? i : 0));
    const key_strides& from = arguments.source;
    const key_strides& to = arguments.destination;
    const std::int64_t stored = arguments.row(row.batch);
    rows.source[i] = static_cast<const Element*>(layers[row.layer].source) + stored * from.batch +
                     row.head * from.head + rows.first_token * from.token;
    rows.destination[i] = static_cast<Element*>(layers[row.layer].destination) + stored * to.batch +
                          row.head * to.head + rows.first_token * to.token;
  }
  rows.batch = row_at(order, group, first_row).batch;
  rows.head = row_at(order, group, first_row).head;
  return rows;
}

/// Asks for a token's elements before they are needed. Rows change every few pages, which is too fast for what
/// processors foresee by themselves: without this a unit runs at a third of the memory's speed. Into the second cache:
/// tokens of all heads lie powers of two apart, where the first cache keeps few of them.
template <class Element>
C10_ALWAYS_INLINE void prefetch(const Element* token, std::int64_t pairs) {
  constexpr std::int64_t line = 64 / sizeof(Element);
  for (std::int64_t i = 0; i < 2 * pairs; i += line) {
    __builtin_prefetch(token + i, /*rw=*/0, /*locality=*/2);
  }
}

/// Rotates `Rows` of a unit's rows, from row `first` on, token by token, while the elements some tokens ahead, in the
/// end those of the unit that follows, are fetched.
template <int Rows, class Lanes, class Layout, class Element, class Pairs>
void rotate_blocks(std::int64_t first, const rotation_arguments& arguments, const unit_rows<Element>& rows,
                   const unit_rows<Element>& next, bool fill, angle_table& table, Pairs pairs) {
  constexpr std::int64_t bytes_ahead = 2048;
  const std::int64_t ahead = bytes_ahead / (2 * pairs * static_cast<std::int64_t>(sizeof(Element))) + 1;
  const std::int64_t source_stride = arguments.source.token;
  const std::int64_t destination_stride = arguments.destination.token;
  angle_source<Lanes> angles{arguments, {}, {}};
  for (std::int64_t t = 0; t < rows.tokens; ++t) {
    float* const cosines = table.cosines + t * table.token_stride;
    float* const sines = table.sines + t * table.token_stride;
    if (fill) {
      angles.fill(rows.batch, rows.head, rows.first_token + t, cosines, sines, pairs);
    }
    const bool within = t + ahead < rows.tokens;
    const std::int64_t offset = (within ? t + ahead : t + ahead - rows.tokens) * source_stride;
    token_rows<Rows, Element> token;
    for (int i = 0; i < Rows; ++i) {
      prefetch((within ? rows : next).source[first + i] + offset, pairs);
      token.source[i] = rows.source[first + i] + t * source_stride;
      token.destination[i] = rows.destination[first + i] + t * destination_stride;
    }
    Layout::rotate(token, cosines, sines, pairs);
  }
}

template <class Lanes, class Layout, class Element, class Pairs>
void rotate_unit(const rotation_arguments& arguments, const unit_rows<Element>& rows, const unit_rows<Element>& next,
                 bool fill, angle_table& table, Pairs pairs) {
  if (rows.count == rows_per_unit) {
    return rotate_blocks<rows_per_unit, Lanes, Layout>(0, arguments, rows, next, fill, table, pairs);
  }
  for (std::int64_t i = 0; i < rows.count; ++i) {
    rotate_blocks<1, Lanes, Layout>(i, arguments, rows, next, fill && i == 0, table, pairs);
  }
}

template <class Lanes, bool Interleaved, class Element, class Pairs>
void rotate_range(const rotation_arguments& given, const layer_keys* layers, const rotation_order& order,
                  std::int64_t begin, std::int64_t end, Pairs pairs) {
  using layout = pair_layout<Lanes, Interleaved, Element>;
  const rotation_arguments arguments = layout::arranged(given);
  angle_table table;
  table.token_stride = padded_pairs(pairs);
  if (arguments.rule == angle_rule::shared) {
    table.token_stride = 0;
    for (std::int64_t pair = 0; pair < pairs; ++pair) {
      table.cosines[pair] = arguments.target_frequency.value[pair];
      table.sines[pair] = arguments.stored_frequency.value[pair];
    }
  }
  std::int64_t filled = -1;
  unit_rows<Element> rows = rows_of<Element>(arguments, layers, order, begin);
  for (std::int64_t index = begin; index < end; ++index) {
    const unit_rows<Element> next = index + 1 < end ? rows_of<Element>(arguments, layers, order, index + 1) : rows;
    rotate_unit<Lanes, layout>(arguments, rows, next, rows.angles != filled, table, pairs);
    filled = rows.angles;
    rows = next;
  }
}

/// The kernel of one instruction set. What has one byte no CPU converts quickly: it is left to the scalar variant.
template <class Lanes>
void rotate_range(const rotation_arguments& arguments, const layer_keys* layers, const rotation_order& order,
                  std::int64_t begin, std::int64_t end) {
  with_element(arguments.element, [&]<class Element>(Element) {
    if constexpr (Lanes::count > 1 && sizeof(Element) == 1) {
      scalar_variant.rotate_range(arguments, layers, order, begin, end);
    } else {
      with_pairs<Lanes>(arguments.pairs, [&](auto pairs) {
        arguments.interleaved ? rotate_range<Lanes, true, Element>(arguments, layers, order, begin, end, pairs)
                              : rotate_range<Lanes, false, Element>(arguments, layers, order, begin, end, pairs);
      });
    }
  });
}

}  // namespace
}  // namespace kvtransfer::rope::kernels
