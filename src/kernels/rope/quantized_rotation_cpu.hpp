#pragma once

#include <c10/macros/Macros.h>

#include <cstdint>

#include "kernels/rope/angle_source.hpp"
#include "kernels/rope/code_vectors.hpp"
#include "kernels/rope/cpu_variant.hpp"
#include "kernels/rope/group_vectors.hpp"
#include "kernels/rope/quantized_error.hpp"
#include "kernels/rope/quantized_rotation.hpp"
#include "kernels/rope/rotation_order.hpp"
#include "kernels/rope/rotation_vectors.hpp"

// The CPU kernel of quantized keys, written once over `Lanes` and compiled once per instruction set
// (quantized_rotation_cpu_*.cpp); what rotation_cpu.hpp says of linkage holds here too. Codes are read once, written
// once, and in between are floats in a core's own cache.

namespace kvtransfer::rope::kernels {
namespace {

/// One tile: tokens of one head.
struct tile_place {
  std::int64_t angles;  ///< tiles of one number have the same angles
  std::int64_t batch;
  std::int64_t head;
  std::int64_t first;  ///< token
  std::int64_t tokens;
  std::uint8_t* codes;  ///< of the first token
  scale_row row;        ///< of the first token, or per channel of the group
};

inline tile_place place_of(const quantized_rotation& given, const quantized_keys& keys, const rotation_order& order,
                           std::int64_t index) {
  const rotation_arguments& rotation = given.rotation;
  tile_place place;
  place.angles = index / order.rows;
  const std::int64_t tile = place.angles % order.blocks;
  const rotate_row row = row_at(order, place.angles / order.blocks, index % order.rows);
  place.batch = row.batch;
  place.head = row.head;
  std::int64_t end = (tile + 1) * tokens_per_tile < rotation.seq ? (tile + 1) * tokens_per_tile : rotation.seq;
  place.first = tile * tokens_per_tile;
  if (given.is_per_channel()) {
    place.first = tile == 0 ? 0 : given.group_ends[tile - 1];
    end = given.group_ends[tile];
  }
  place.tokens = end - place.first;
  place.codes = given.codes_at(keys, row.batch, row.head, place.first);
  place.row = given.row_at(keys, row.batch, row.head, given.is_per_channel() ? tile : place.first);
  return place;
}

/// Writes the new scale of one group. @param i which of the row
template <class Codes>
C10_ALWAYS_INLINE group_scale write_scale(const group_range& range, const scale_row& row, std::int64_t i) {
  const group_scale group = scale_of<Codes>(range);
  row.scales[i] = group.scale;
  if constexpr (Codes::has_minimum) {
    row.minimums[i] = group.minimum;
  }
  return group;
}

/// One token per token: from codes to codes, `rotate(elements)` in between.
template <class Codes, class Rotate>
void requantize_token(const quantized_rotation& given, const tile_place& place, std::int64_t token, float* elements,
                      Rotate&& rotate) {
  std::uint8_t* const codes = place.codes + token * given.rotation.source.token;
  const scale_row row = given.row_after(place.row, token);
  const std::int64_t groups = given.count / given.group_size;
  Codes::read(codes, elements, given.count);
  for (std::int64_t i = 0; i < groups; ++i) {
    scale_group(elements + i * given.group_size, row.scales[i], Codes::has_minimum ? row.minimums[i] : 0,
                given.group_size);
  }
  if (row.errors != nullptr) {
    rotate_errors_of_token(given, row);
  }
  rotate(elements);
  for (std::int64_t i = 0; i < groups; ++i) {
    float* const group = elements + i * given.group_size;
    steps_of_group(group, write_scale<Codes>(range_of(group, given.group_size), row, i), given.group_size);
  }
  Codes::write(elements, codes, given.count);
}

/// One group of tokens per channel: all are rotated before the first gets its new codes.
template <class Codes, class Rotate>
void requantize_group(const quantized_rotation& given, const tile_place& place, const tile_memory& memory,
                      Rotate&& rotate) {
  const std::int64_t count = given.count;
  for (std::int64_t t = 0; t < place.tokens; ++t) {
    float* const elements = memory.elements + t * count;
    Codes::read(place.codes + t * given.rotation.source.token, elements, count);
    scale_columns(elements, place.row.scales, place.row.minimums, count);
    rotate(t, elements);
  }
  constexpr std::int64_t abreast = 32;
  const auto is_valid = [&](std::int64_t t) { return given.is_valid(place.batch, place.head, place.first + t); };
  std::int64_t column = 0;
  for (; column + abreast <= count; column += abreast) {
    ranges_of_columns<abreast>(memory.elements, place.tokens, count, is_valid, memory, column);
  }
  for (; column < count; ++column) {
    ranges_of_columns<1>(memory.elements, place.tokens, count, is_valid, memory, column);
  }
  for (std::int64_t pair = 0; place.row.errors != nullptr && pair < given.rotation.pairs; ++pair) {
    rotate_error_of_pair(given, place.row, pair);
  }
  for (std::int64_t i = 0; i < count; ++i) {
    const group_range range{memory.lowest[i], memory.highest[i], memory.spoiled[i]};
    const group_scale group = write_scale<Codes>(range, place.row, i);
    memory.lowest[i] = group.minimum;
    memory.highest[i] = group.steps_per_unit;
  }
  for (std::int64_t t = 0; t < place.tokens; ++t) {
    float* const elements = memory.elements + t * count;
    steps_of_columns(elements, memory.lowest, memory.highest, count);
    Codes::write(elements, place.codes + t * given.rotation.source.token, count);
  }
}

/// The table of one tile's angles; one row serves every token where they share a delta.
template <class Lanes, class Pairs>
void fill_angles(const rotation_arguments& rotation, const tile_place& place, const tile_memory& memory, Pairs pairs) {
  angle_source<Lanes> angles{rotation, {}, {}};
  if (rotation.rule == angle_rule::shared) {
    for (std::int64_t pair = 0; pair < pairs; ++pair) {
      memory.cosines[pair] = rotation.target_frequency.value[pair];
      memory.sines[pair] = rotation.stored_frequency.value[pair];
    }
    return;
  }
  for (std::int64_t t = 0; t < place.tokens; ++t) {
    const std::int64_t row = t * padded_pairs(pairs);
    angles.fill(place.batch, place.head, place.first + t, memory.cosines + row, memory.sines + row, pairs);
  }
}

template <class Lanes, class Codes, bool Interleaved, class Pairs>
void rotate_tiles(const quantized_rotation& given, const quantized_keys& keys, const rotation_order& order,
                  std::int64_t begin, std::int64_t end, const tile_memory& memory, Pairs pairs) {
  const std::int64_t stride = given.rotation.rule == angle_rule::shared ? 0 : padded_pairs(pairs);
  const auto rotate = [&](std::int64_t token, float* elements) {
    const token_rows<1, float> window{{elements + given.window}, {elements + given.window}};
    pair_layout<Lanes, Interleaved, float>::rotate(window, memory.cosines + token * stride,
                                                   memory.sines + token * stride, pairs);
  };
  std::int64_t filled = -1;
  for (std::int64_t index = begin; index < end; ++index) {
    const tile_place place = place_of(given, keys, order, index);
    if (place.angles != filled) {
      fill_angles<Lanes>(given.rotation, place, memory, pairs);
      filled = place.angles;
    }
    if (given.is_per_channel()) {
      requantize_group<Codes>(given, place, memory, rotate);
      continue;
    }
    for (std::int64_t t = 0; t < place.tokens; ++t) {
      requantize_token<Codes>(given, place, t, memory.elements, [&](float* elements) { rotate(t, elements); });
    }
  }
}

/// The kernel of one instruction set; fp8 is left to the scalar variant, as in rotation_cpu.hpp.
template <class Lanes>
void rotate_tiles(const quantized_rotation& given, const quantized_keys& keys, const rotation_order& order,
                  std::int64_t begin, std::int64_t end, const tile_memory& memory) {
  with_codes<Lanes>(given.code, [&]<class Codes>(Codes) {
    if constexpr (Lanes::count > 1 && !Codes::has_minimum) {
      scalar_variant.rotate_tiles(given, keys, order, begin, end, memory);
    } else {
      with_pairs<Lanes>(given.rotation.pairs, [&](auto pairs) {
        given.rotation.interleaved ? rotate_tiles<Lanes, Codes, true>(given, keys, order, begin, end, memory, pairs)
                                   : rotate_tiles<Lanes, Codes, false>(given, keys, order, begin, end, memory, pairs);
      });
    }
  });
}

}  // namespace
}  // namespace kvtransfer::rope::kernels
