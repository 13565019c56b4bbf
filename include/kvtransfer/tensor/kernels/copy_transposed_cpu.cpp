#include <algorithm>
#include <cstdint>
#include <cstring>

#include "kvtransfer/tensor/kernels/placed_run.hpp"
#include "kvtransfer/tensor/kernels/slot_copy.hpp"
#include "kvtransfer/tensor/kernels/streaming.hpp"
#include "kvtransfer/tensor/kernels/transpose_tile.hpp"

namespace kvtransfer::kernels {
namespace {

/// Slots and elements of one head, where they are read and where they are written.
struct head_tile {
  char* to;
  const char* from;  ///< null where zeros are written
  std::int64_t slots;
  std::int64_t elements;
};

/// How the heads of a run are cut into tiles.
struct tile_grid {
  std::int64_t slots;     ///< of a tile
  std::int64_t elements;  ///< of a tile

  std::int64_t tiles_of_head(const slot_copy& copy) const { return (copy.elements + elements - 1) / elements; }
  std::int64_t count(const slot_copy& copy, const placed_run& run) const {
    return (run.count + slots - 1) / slots * copy.kv_heads * tiles_of_head(copy);
  }

  head_tile at(const slot_copy& copy, const placed_run& run, std::int64_t index) const {
    const std::int64_t element = index % tiles_of_head(copy) * elements;
    const std::int64_t head = index / tiles_of_head(copy) % copy.kv_heads;
    const std::int64_t slot = index / tiles_of_head(copy) / copy.kv_heads * slots;
    const auto in = [&](const slot_strides& strides) {
      return slot * strides.slot + head * strides.head + element * strides.element;
    };
    return {run.to + in(copy.to), run.from == nullptr ? nullptr : run.from + in(copy.from),
            std::min(slots, run.count - slot), std::min(elements, copy.elements - element)};
  }
};

/// The longest column of a tile, in bytes.
inline constexpr std::int64_t longest_column = 128;

/// Tiles of 16 KB, whose rows, contiguous where they are read, and columns, contiguous where they are written, are
/// whole cache lines. Where a row is an element's slots, rows lie so far apart, and so often by a power of two, that a
/// cache keeps few of them: columns are shorter.
template <class Element>
tile_grid grid_for(const slot_copy& copy) {
  constexpr auto size = static_cast<std::int64_t>(sizeof(Element));
  constexpr std::int64_t bytes = 16384;
  constexpr std::int64_t short_column = longest_column / 2;
  return copy.from.element == size ? tile_grid{.slots = longest_column / size, .elements = bytes / longest_column}
                                   : tile_grid{.slots = bytes / short_column, .elements = short_column / size};
}

/// Slots are neighbours on both sides, or zeros are written where they are.
template <class Element, class Piece>
void copy_columns(const slot_copy& copy, const head_tile& tile, Piece piece) {
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

/// The source of a tile: rows that are contiguous, `step` bytes apart.
struct tile_rows {
  const char* data;  ///< null where zeros are written
  std::int64_t step;
  std::int64_t rows;
  std::int64_t columns;
};

/// Transposes some columns at a time into a buffer and writes them out, so that the processor does both at once; and
/// with each column fetches a share of the tile that comes next: it doesn't see rows coming that lie so far apart, and
/// would wait for each.
template <class Element, class Piece>
void transpose_through_buffer(char* to, std::int64_t column_step, const tile_rows& tile, const tile_rows& next,
                              Piece piece) {
  constexpr auto size = static_cast<std::int64_t>(sizeof(Element));
  constexpr std::int64_t columns_at_a_time = 64;
  alignas(64) char buffer[columns_at_a_time * longest_column];
  const std::int64_t column_bytes = tile.rows * size;
  const std::int64_t rows_ahead = next.data == nullptr ? 0 : next.rows;
  const char* ahead = next.data;
  std::int64_t owed = 0;  // rows of the next tile, times this one's columns
  for (std::int64_t first = 0; first < tile.columns; first += columns_at_a_time) {
    const std::int64_t columns = std::min(columns_at_a_time, tile.columns - first);
    transpose_tile<Element>({buffer, longest_column}, {tile.data + first * size, tile.step}, tile.rows, columns);
    for (std::int64_t column = 0; column < columns; ++column) {
      for (owed += rows_ahead; owed >= tile.columns; owed -= tile.columns, ahead += next.step) {
        fetch_ahead(ahead, static_cast<std::size_t>(next.columns * size));
      }
      const char* const done = buffer + column * longest_column;
      piece(to + (first + column) * column_step, done, static_cast<std::size_t>(column_bytes), done);
    }
  }
}

template <class Element, class Piece>
void copy_tile(const slot_copy& copy, const head_tile& tile, const head_tile& next, Piece piece) {
  constexpr auto size = static_cast<std::int64_t>(sizeof(Element));
  if (tile.from != nullptr && copy.from.slot == size && copy.to.element == size) {
    const auto rows = [&](const head_tile& of) { return tile_rows{of.from, copy.from.element, of.elements, of.slots}; };
    transpose_through_buffer<Element>(tile.to, copy.to.slot, rows(tile), rows(next), piece);
  } else if (tile.from != nullptr && copy.from.element == size && copy.to.slot == size) {
    const auto rows = [&](const head_tile& of) { return tile_rows{of.from, copy.from.slot, of.slots, of.elements}; };
    transpose_through_buffer<Element>(tile.to, copy.to.element, rows(tile), rows(next), piece);
  } else if (copy.to.slot == size && (tile.from == nullptr || copy.from.slot == size)) {
    copy_columns<Element>(copy, tile, piece);
  } else {
    copy_elements<Element>(copy, tile);
  }
}

template <class Element>
void copy_all(const slot_copy& copy, const layer_bytes* layers, std::int64_t count_of_layers) {
  const tile_grid grid = grid_for<Element>(copy);
  for_each_run(copy, layers, count_of_layers, [&](const placed_run& run, const placed_run& next_run, auto piece) {
    const std::int64_t tiles = grid.count(copy, run);
    for (std::int64_t i = 0; i < tiles; ++i) {
      const head_tile next = i + 1 < tiles ? grid.at(copy, run, i + 1) : grid.at(copy, next_run, 0);
      copy_tile<Element>(copy, grid.at(copy, run, i), next, piece);
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
