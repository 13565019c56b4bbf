#include <c10/util/SmallVector.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <utility>

#include "kvtransfer/tensor/kernels/joined_runs.hpp"
#include "kvtransfer/tensor/kernels/placed_run.hpp"
#include "kvtransfer/tensor/kernels/slot_copy.hpp"
#include "kvtransfer/tensor/kernels/streaming.hpp"
#include "kvtransfer/tensor/kernels/transpose_tile.hpp"

namespace kvtransfer::kernels {
namespace {

/// Some elements of one head, as offsets from its runs' first bytes.
struct head_part {
  std::int64_t to;
  std::int64_t from;
  std::int64_t elements;
};

inline std::int64_t parts_of_head(const slot_copy& copy, std::int64_t elements) {
  return (copy.elements + elements - 1) / elements;
}

inline head_part part_at(const slot_copy& copy, std::int64_t elements, std::int64_t index) {
  const std::int64_t head = index / parts_of_head(copy, elements);
  const std::int64_t element = index % parts_of_head(copy, elements) * elements;
  return {head * copy.to.head + element * copy.to.element, head * copy.from.head + element * copy.from.element,
          std::min(elements, copy.elements - element)};
}

/// Slots are neighbours on both sides, or zeros are written where they are.
template <class Element, class Piece>
void copy_columns(const slot_copy& copy, const placed_run& run, const head_part& part, Piece piece) {
  const auto bytes = static_cast<std::size_t>(run.count) * sizeof(Element);
  for (std::int64_t element = 0; element < part.elements; ++element) {
    char* const to = run.to + part.to + element * copy.to.element;
    if (run.from == nullptr) {
      std::memset(to, 0, bytes);
    } else {
      const char* const from = run.from + part.from + element * copy.from.element;
      piece(to, from, bytes, from);
    }
  }
}

/// Any strides, element by element.
template <class Element>
void copy_elements(const slot_copy& copy, const placed_run& run, const head_part& part) {
  const Element zero{};
  for (std::int64_t slot = 0; slot < run.count; ++slot) {
    for (std::int64_t element = 0; element < part.elements; ++element) {
      const char* from = run.from == nullptr
                             ? reinterpret_cast<const char*>(&zero)
                             : run.from + part.from + slot * copy.from.slot + element * copy.from.element;
      std::memcpy(run.to + part.to + slot * copy.to.slot + element * copy.to.element, from, sizeof(Element));
    }
  }
}

/// Rows that are contiguous in the source, `step` bytes apart.
struct source_rows {
  const char* data;
  std::int64_t step;
  std::int64_t rows;
  std::int64_t columns;
};

/// The source of one tile.
template <class Element>
struct tile_source {
  c10::SmallVector<source_rows, 16> stretches;
  std::int64_t rows = 0;

  /// @param part of every run in `joined`; nothing is read for zeros
  tile_source(const slot_copy& copy, const joined_runs& joined, const head_part& part) {
    if (joined.runs.empty() || joined.runs.front().from == nullptr) {
      return;
    }
    if (copy.from.element == static_cast<std::int64_t>(sizeof(Element))) {
      for (const placed_run& run : joined.runs) {
        stretches.push_back({run.from + part.from, copy.from.slot, run.count, part.elements});
      }
      rows = joined.slots;
    } else {
      stretches.push_back({joined.runs.front().from + part.from, copy.from.element, part.elements, joined.slots});
      rows = part.elements;
    }
  }
};

/// Fetches the source of the tile that comes next, a share with every column that is written: the processor doesn't see
/// rows coming that lie so far apart, and would wait for each.
template <class Element>
class source_ahead {
 public:
  source_ahead(const tile_source<Element>& source, std::int64_t columns)
      : next_(source.stretches.begin()), rows_(source.rows), columns_(columns) {}

  C10_ALWAYS_INLINE void column_written() {
    for (owed_ += rows_; owed_ >= columns_; owed_ -= columns_) {
      if (stretch_.rows == 0) {
        stretch_ = *next_++;
      }
      fetch_ahead(stretch_.data, static_cast<std::size_t>(stretch_.columns) * sizeof(Element));
      stretch_.data += stretch_.step;
      --stretch_.rows;
    }
  }

 private:
  const source_rows* next_;
  std::int64_t rows_;
  std::int64_t columns_;
  std::int64_t owed_ = 0;  ///< rows to be fetched, times the columns of this tile
  source_rows stretch_{};  ///< what is left of it
};

/// Columns that are transposed together into a buffer and then written, so that the processor does both at once.
inline constexpr std::int64_t columns_at_a_time = 64;

/// Slots from where they lie, by themselves or with their heads, to neighbours.
template <class Element, class Piece>
void write_columns(const slot_copy& copy, const joined_runs& joined, const head_part& part,
                   const tile_source<Element>& source, const tile_source<Element>& next, Piece piece) {
  constexpr auto size = static_cast<std::int64_t>(sizeof(Element));
  alignas(64) char buffer[columns_at_a_time * longest_column];
  source_ahead<Element> ahead(next, part.elements);
  const auto bytes = static_cast<std::size_t>(joined.slots * size);
  const std::int64_t step = copy.to.element;
  char* to = joined.runs.front().to + part.to;
  for (std::int64_t first = 0; first < part.elements; first += columns_at_a_time) {
    const std::int64_t columns = std::min(columns_at_a_time, part.elements - first);
    char* row = buffer;
    for (const source_rows& stretch : source.stretches) {
      transpose_tile<Element>({row, longest_column}, {stretch.data + first * size, stretch.step}, stretch.rows,
                              columns);
      row += stretch.rows * size;
    }
    const char* done = buffer;
    for (std::int64_t column = 0; column < columns; ++column, to += step, done += longest_column) {
      ahead.column_written();
      piece(to, done, bytes, done);
    }
  }
}

/// Neighbouring slots to where each of them lies.
template <class Element, class Piece>
void write_slots(const slot_copy& copy, const joined_runs& joined, const head_part& part,
                 const tile_source<Element>& source, const tile_source<Element>& next, Piece piece) {
  constexpr auto size = static_cast<std::int64_t>(sizeof(Element));
  alignas(64) char buffer[columns_at_a_time * longest_column];
  source_ahead<Element> ahead(next, joined.slots);
  const auto bytes = static_cast<std::size_t>(part.elements * size);
  const std::int64_t step = copy.to.slot;
  const placed_run* run = joined.runs.begin();
  char* to = run->to + part.to;
  std::int64_t left = run->count;
  const source_rows rows = source.stretches.front();
  for (std::int64_t first = 0; first < joined.slots; first += columns_at_a_time) {
    const std::int64_t columns = std::min(columns_at_a_time, joined.slots - first);
    transpose_tile<Element>({buffer, longest_column}, {rows.data + first * size, rows.step}, rows.rows, columns);
    const char* done = buffer;
    for (std::int64_t column = 0; column < columns; ++column, to += step, --left, done += longest_column) {
      if (left == 0) {
        ++run;
        to = run->to + part.to;
        left = run->count;
      }
      ahead.column_written();
      piece(to, done, bytes, done);
    }
  }
}

template <class Element, class Piece>
void copy_part(const slot_copy& copy, const joined_runs& joined, const head_part& part,
               const tile_source<Element>& source, const tile_source<Element>& next, Piece piece) {
  constexpr auto size = static_cast<std::int64_t>(sizeof(Element));
  const transposition way = source.rows == 0 ? transposition::neither : transposition_of<Element>(copy);
  if (way == transposition::slots_to_columns) {
    return write_columns(copy, joined, part, source, next, piece);
  }
  if (way == transposition::columns_to_slots) {
    return write_slots(copy, joined, part, source, next, piece);
  }
  for (const placed_run& run : joined.runs) {
    if (copy.to.slot == size && (run.from == nullptr || copy.from.slot == size)) {
      copy_columns<Element>(copy, run, part, piece);
    } else {
      copy_elements<Element>(copy, run, part);
    }
  }
}

template <class Element>
void copy_all(const slot_copy& copy, const layer_bytes* layers, std::int64_t count_of_layers) {
  const std::int64_t elements = shape_for<Element>(transposition_of<Element>(copy)).elements;
  const std::int64_t parts = copy.kv_heads * parts_of_head(copy, elements);
  share_runs(copy, count_of_layers, [&](std::int64_t first, std::int64_t last, auto piece) {
    run_joiner<Element> joiner(copy, layers, first, last);
    joined_runs joined = joiner.next();
    tile_source<Element> source(copy, joined, part_at(copy, elements, 0));
    while (!joined.runs.empty()) {
      joined_runs after = joiner.next();
      for (std::int64_t i = 0; i < parts; ++i) {
        const joined_runs& whose = i + 1 < parts ? joined : after;
        tile_source<Element> next(copy, whose, part_at(copy, elements, (i + 1) % parts));
        copy_part<Element>(copy, joined, part_at(copy, elements, i), source, next, piece);
        source = std::move(next);
      }
      joined = std::move(after);
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
