#include <c10/util/SmallVector.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <utility>

#include "kernels/tensor/joined_runs.hpp"
#include "kernels/tensor/placed_run.hpp"
#include "kernels/tensor/slot_copy.hpp"
#include "kernels/tensor/streaming.hpp"
#include "kernels/tensor/transpose_tile.hpp"
#include "kernels/tensor/transposition.hpp"
#include "kernels/words.hpp"

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

/// Lines of one length, each contiguous, `step` bytes apart.
template <class Byte>
struct stretch {
  Byte* first;
  std::int64_t step;
  std::int64_t lines;
};

/// Lines of stretches one after the other.
template <class Byte>
class line_walk {
 public:
  explicit line_walk(const stretch<Byte>* stretches) : next_(stretches) {}

  C10_ALWAYS_INLINE Byte* next() {
    if (left_.lines == 0) {
      left_ = *next_++;
    }
    Byte* const line = left_.first;
    left_.first += left_.step;
    --left_.lines;
    return line;
  }

 private:
  const stretch<Byte>* next_;
  stretch<Byte> left_{};
};

/// A matrix that is read by rows and written by columns.
struct tile {
  c10::SmallVector<stretch<const char>, 16> rows;
  c10::SmallVector<stretch<char>, 16> columns;
  std::int64_t row_count = 0;
  std::int64_t column_count = 0;

  /// @param part of every run in `joined`; without rows where nothing is transposed
  tile(transposition way, const slot_copy& copy, const joined_runs& joined, const head_part& part) {
    if (way == transposition::neither || joined.runs.empty() || joined.runs.front().from == nullptr) {
      return;
    }
    const placed_run& front = joined.runs.front();
    if (way == transposition::slots_to_columns) {
      for (const placed_run& run : joined.runs) {
        rows.push_back({run.from + part.from, copy.from.slot, run.count});
      }
      columns.push_back({front.to + part.to, copy.to.element, part.elements});
      row_count = joined.slots;
      column_count = part.elements;
    } else {
      rows.push_back({front.from + part.from, copy.from.element, part.elements});
      for (const placed_run& run : joined.runs) {
        columns.push_back({run.to + part.to, copy.to.slot, run.count});
      }
      row_count = part.elements;
      column_count = joined.slots;
    }
  }
};

/// Fetches the rows of the tile that comes next, a share with every column that is written: the processor doesn't see
/// rows coming that lie so far apart, and would wait for each.
template <class Element>
class rows_ahead {
 public:
  rows_ahead(const tile& next, std::int64_t columns)
      : walk_(next.rows.data()),
        rows_(next.row_count),
        row_bytes_(static_cast<std::size_t>(next.column_count) * sizeof(Element)),
        columns_(columns) {}

  C10_ALWAYS_INLINE void column_written() {
    for (owed_ += rows_; owed_ >= columns_; owed_ -= columns_) {
      fetch_ahead(walk_.next(), row_bytes_);
    }
  }

 private:
  line_walk<const char> walk_;
  std::int64_t rows_;
  std::size_t row_bytes_;
  std::int64_t columns_;
  std::int64_t owed_ = 0;  ///< rows to be fetched, times the columns of this tile
};

/// Columns that are transposed together into a buffer and then written, so that the processor does both at once.
inline constexpr std::int64_t columns_at_a_time = 32;

template <class Element, class Piece>
void transpose(const tile& now, const tile& next, Piece piece) {
  constexpr auto size = static_cast<std::int64_t>(sizeof(Element));
  alignas(64) char buffer[columns_at_a_time * longest_column];
  const auto bytes = static_cast<std::size_t>(now.row_count * size);
  rows_ahead<Element> ahead(next, now.column_count);
  line_walk<char> to(now.columns.data());
  for (std::int64_t first = 0; first < now.column_count; first += columns_at_a_time) {
    const std::int64_t columns = std::min(columns_at_a_time, now.column_count - first);
    char* place = buffer;
    for (const stretch<const char>& rows : now.rows) {
      transpose_tile<Element>({place, longest_column}, {rows.first + first * size, rows.step}, rows.lines, columns);
      place += rows.lines * size;
    }
    const char* done = buffer;
    for (std::int64_t column = 0; column < columns; ++column, done += longest_column) {
      ahead.column_written();
      piece(to.next(), done, bytes, done);
    }
  }
}

/// What is not transposed: slots that are neighbours on both sides, zeros, and strides that are no element's size.
template <class Element, class Piece>
void copy_run(const slot_copy& copy, const placed_run& run, const head_part& part, Piece piece) {
  constexpr auto size = static_cast<std::int64_t>(sizeof(Element));
  if (copy.to.slot == size && (run.from == nullptr || copy.from.slot == size)) {
    copy_columns<Element>(copy, run, part, piece);
  } else {
    copy_elements<Element>(copy, run, part);
  }
}

template <class Element>
void copy_all(const slot_copy& copy, const layer_bytes* layers, std::int64_t count_of_layers) {
  const transposition way = transposition_of(copy);
  const std::int64_t elements = shape_for<Element>(way).elements;
  const std::int64_t parts = copy.kv_heads * parts_of_head(copy, elements);
  share_runs(copy, count_of_layers, [&](std::int64_t first, std::int64_t last, auto piece) {
    run_joiner<Element> joiner(copy, layers, first, last);
    joined_runs joined = joiner.next();
    tile now(way, copy, joined, part_at(copy, elements, 0));
    while (!joined.runs.empty()) {
      joined_runs after = joiner.next();
      for (std::int64_t i = 0; i < parts; ++i) {
        tile next(way, copy, i + 1 < parts ? joined : after, part_at(copy, elements, (i + 1) % parts));
        if (now.rows.empty()) {
          for (const placed_run& run : joined.runs) {
            copy_run<Element>(copy, run, part_at(copy, elements, i), piece);
          }
        } else {
          transpose<Element>(now, next, piece);
        }
        now = std::move(next);
      }
      joined = std::move(after);
    }
  });
}

}  // namespace

void copy_transposed_on_cpu(const slot_copy& copy, const layer_bytes* layers, std::int64_t count_of_layers) {
  with_word(copy.element_bytes, [&](auto element) { copy_all<decltype(element)>(copy, layers, count_of_layers); });
}

}  // namespace kvtransfer::kernels
