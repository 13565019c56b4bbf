#include <algorithm>
#include <cstdint>
#include <cstring>

#include "kvtransfer/tensor/kernels/placed_run.hpp"
#include "kvtransfer/tensor/kernels/slot_copy.hpp"
#include "kvtransfer/tensor/kernels/streaming.hpp"
#include "kvtransfer/tensor/kernels/transpose_tile.hpp"

namespace kvtransfer::kernels {
namespace {

/// Elements of a head that are transposed at a time: with the slots of a run they fill 32 KB.
template <class Element>
inline constexpr std::int64_t elements_per_tile = 32768 / (slots_per_transposed_run * static_cast<std::int64_t>(sizeof(Element)));

/// Slots and elements of one head, where they are read and where they are written.
struct head_tile {
  char* to;
  const char* from;  ///< null where zeros are written
  std::int64_t slots;
  std::int64_t elements;
};

/// Slots are neighbours on both sides, or zeros are written where they are.
template <class Element>
void copy_columns(const slot_copy& copy, const head_tile& tile, copy_piece piece) {
  const auto bytes = static_cast<std::size_t>(tile.slots) * sizeof(Element);
  for (std::int64_t element = 0; element < tile.elements; ++element) {
    char* const to = tile.to + element * copy.to.element;
    if (tile.from == nullptr) {
      std::memset(to, 0, bytes);
    } else {
      const char* const from = tile.from + element * copy.from.element;
      piece(to, from, bytes, from);
    }
  }
}

/// Any strides, element by element.
template <class Element>
void copy_elements(const slot_copy& copy, const head_tile& tile) {
  const Element zero{};
  for (std::int64_t slot = 0; slot < tile.slots; ++slot) {
    for (std::int64_t element = 0; element < tile.elements; ++element) {
      const char* from = tile.from == nullptr ? reinterpret_cast<const char*>(&zero)
                                              : tile.from + slot * copy.from.slot + element * copy.from.element;
      std::memcpy(tile.to + slot * copy.to.slot + element * copy.to.element, from, sizeof(Element));
    }
  }
}

/// Transposes a tile into a buffer that stays in the cache, and writes it out by whole rows. `rows` are contiguous in the source,
/// `columns` in the destination.
template <class Element>
void transpose_through_buffer(const head_tile& tile, std::int64_t rows, std::int64_t row_step, std::int64_t columns,
                              std::int64_t column_step, copy_piece piece) {
  alignas(64) char buffer[slots_per_transposed_run * elements_per_tile<Element> * sizeof(Element)];
  const auto row_bytes = static_cast<std::int64_t>(rows * sizeof(Element));
  transpose_tile<Element>({buffer, row_bytes}, {tile.from, row_step}, rows, columns);
  for (std::int64_t column = 0; column < columns; ++column) {
    const char* const done = buffer + column * row_bytes;
    piece(tile.to + column * column_step, done, static_cast<std::size_t>(row_bytes), done);
  }
}

template <class Element>
void copy_tile(const slot_copy& copy, const head_tile& tile, copy_piece piece) {
  constexpr auto size = static_cast<std::int64_t>(sizeof(Element));
  if (tile.from != nullptr && copy.from.slot == size && copy.to.element == size) {
    transpose_through_buffer<Element>(tile, tile.elements, copy.from.element, tile.slots, copy.to.slot, piece);
  } else if (tile.from != nullptr && copy.from.element == size && copy.to.slot == size) {
    transpose_through_buffer<Element>(tile, tile.slots, copy.from.slot, tile.elements, copy.to.element, piece);
  } else if (copy.to.slot == size && (tile.from == nullptr || copy.from.slot == size)) {
    copy_columns<Element>(copy, tile, piece);
  } else {
    copy_elements<Element>(copy, tile);
  }
}

/// Copies all heads of a part of a run that is no longer than a tile.
template <class Element>
void copy_part(const slot_copy& copy, const placed_run& part, copy_piece piece) {
  for (std::int64_t head = 0; head < copy.kv_heads; ++head) {
    for (std::int64_t first = 0; first < copy.elements; first += elements_per_tile<Element>) {
      char* const to = part.to + head * copy.to.head + first * copy.to.element;
      const char* const from = part.from == nullptr ? nullptr : part.from + head * copy.from.head + first * copy.from.element;
      copy_tile<Element>(copy, {to, from, part.count, std::min(elements_per_tile<Element>, copy.elements - first)}, piece);
    }
  }
}

template <class Element>
void copy_all(const slot_copy& copy, const layer_bytes* layers, std::int64_t count_of_layers) {
  for_each_run(copy, layers, count_of_layers, [&](const placed_run& run, const placed_run&, copy_piece piece) {
    for (std::int64_t slot = 0; slot < run.count; slot += slots_per_transposed_run) {
      const placed_run part{run.to + slot * copy.to.slot, run.from == nullptr ? nullptr : run.from + slot * copy.from.slot,
                            std::min(slots_per_transposed_run, run.count - slot)};
      copy_part<Element>(copy, part, piece);
    }
  });
}

}  // namespace

void copy_transposed_on_cpu(const slot_copy& copy, const layer_bytes* layers, std::int64_t count_of_layers) {
  switch (copy.element_bytes) {
    case 1:
      return copy_all<std::uint8_t>(copy, layers, count_of_layers);
    case 2:
      return copy_all<std::uint16_t>(copy, layers, count_of_layers);
    case 4:
      return copy_all<std::uint32_t>(copy, layers, count_of_layers);
    default:
      return copy_all<std::uint64_t>(copy, layers, count_of_layers);
  }
}

}  // namespace kvtransfer::kernels
