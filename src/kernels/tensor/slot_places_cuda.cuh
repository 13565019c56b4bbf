#pragma once

#include <c10/macros/Macros.h>

#include <cstdint>

#include "kernels/tensor/slot_copy.hpp"
#include "kernels/tensor/transposition.hpp"

// Which slots a block of threads copies together where a head's elements lie apart, and in what words.

namespace kvtransfer::kernels {

/// In a block; each finds a slot.
inline constexpr unsigned transposing_threads = slots_per_transposed_run;

/// Neighbouring elements of a word.
template <class Element, class Word>
inline constexpr unsigned elements_of = sizeof(Word) / sizeof(Element);

/// Whether `place` may be read or written as a word.
template <class Word>
__device__ bool is_aligned(const char* place) {
  return reinterpret_cast<std::uintptr_t>(place) % sizeof(Word) == 0;
}

/// The runs that a block copies together, since the slots of one alone may be fewer than a cache line holds.
struct run_group {
  static constexpr unsigned most = slots_per_transposed_run / slots_per_run;

  byte_run runs[most];

  /// How many of a copy's: those of a list are short.
  C10_HOST_DEVICE static unsigned count_for(const slot_copy& copy) { return copy.list == nullptr ? 1 : most; }

  /// Reads those of group number `group`, fewer in the last. All threads together.
  __device__ void read(const slot_copy& copy, std::int64_t group) {
    if (threadIdx.x < most) {
      const unsigned count = count_for(copy);
      const std::int64_t index = group * count + threadIdx.x;
      runs[threadIdx.x] = threadIdx.x < count && index < copy.runs ? copy.run_at(index) : byte_run{};
    }
    __syncthreads();
  }

  __device__ std::int64_t slots() const {
    std::int64_t sum = 0;
#pragma unroll
    for (const byte_run& run : runs) {
      sum += run.count;
    }
    return sum;
  }

  /// Slot `index` of all of them, as a run of one.
  __device__ byte_run slot_at(const slot_copy& copy, std::int64_t index) const {
    byte_run found{};
#pragma unroll
    for (const byte_run& run : runs) {
      if (index >= 0 && index < run.count) {
        found = {run.to + index * copy.to.slot, run.from < 0 ? -1 : run.from + index * copy.from.slot, 1};
      }
      index -= run.count;
    }
    return found;
  }
};

/// Where the slots of one head are that a block copies at a time, each with a place of its own.
struct slot_places {
  static constexpr unsigned most = transposing_threads;

  char* to[most];
  const char* from[most];  ///< null where zeros are written

  /// Sets this thread's slot.
  __device__ void set(const layer_bytes& head, const byte_run& slot) {
    to[threadIdx.x] = head.to + slot.to;
    from[threadIdx.x] = slot.from < 0 ? nullptr : head.from + slot.from;
  }
};

/// What one side of a copy has in whole words, asked of this thread's slot alone.
template <class Element, class Word, class Byte>
struct word_check {
  const slot_strides& side;
  Byte* const (&places)[slot_places::most];

  static constexpr unsigned elements = elements_of<Element, Word>;

  /// Whether the slot lies where the word has it that the slots around it make.
  __device__ bool slots_are_words() const {
    const char* const first = places[threadIdx.x / elements * elements];
    const char* const expected = first == nullptr ? nullptr : first + threadIdx.x % elements * sizeof(Element);
    return side.slot == sizeof(Element) && side.element % sizeof(Word) == 0 && is_aligned<Word>(first) &&
           places[threadIdx.x] == expected;
  }

  __device__ bool elements_are_words() const { return is_aligned<Word>(places[threadIdx.x]); }
};

/// Whether all that lies side by side on either side is whole words. All threads together.
template <class Element, class Word, transposition way>
__device__ bool has_words(const slot_copy& copy, const slot_places& places, unsigned slots) {
  constexpr unsigned elements = elements_of<Element, Word>;
  bool whole = slots % elements == 0 && (way == transposition::neither || copy.elements % elements == 0);
  if (whole && threadIdx.x < slots) {
    const word_check<Element, Word, char> to{copy.to, places.to};
    const word_check<Element, Word, const char> from{copy.from, places.from};
    whole = (way == transposition::columns_to_slots ? to.elements_are_words() : to.slots_are_words()) &&
            (way == transposition::slots_to_columns ? from.elements_are_words() : from.slots_are_words());
  }
  return __syncthreads_and(whole);
}

}  // namespace kvtransfer::kernels
