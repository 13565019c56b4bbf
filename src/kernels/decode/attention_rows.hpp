#pragma once

#include <math.h>

#include <cstdint>
#include <cstring>

#include "kernels/decode/cached_attention.hpp"
#include "kernels/vectors.hpp"

// One query's attention on a CPU. Included once by each variant; `Variant` keeps
// what it compiles apart from the others' copies.

namespace kvtransfer::kernels {

/// What a decode step attends with on a CPU, compiled for one instruction set.
struct attention_cpu_variant {
  /// Attends for one row and one KV head; queries and context are fp32.
  /// @param scores room for `shared` floats a slot that the row has
  using attend_row = void (*)(const cached_attention&, std::int64_t row, std::int64_t kv_head, float* scores);
  attend_row float32;   ///< caches of floats
  attend_row bfloat16;  ///< caches of bfloat16
};

extern const attention_cpu_variant attention_scalar_variant;
extern const attention_cpu_variant attention_avx2_variant;
extern const attention_cpu_variant attention_avx512_variant;

/// The best variant for this machine, held back by ATEN_CPU_CAPABILITY as torch's own kernels are.
const attention_cpu_variant& best_attention_variant();

namespace attention_rows {

using vectors::bfloat16_bits;
using vectors::floats;
using vectors::read;
using vectors::read_one;
using vectors::sum_of;

template <class Variant, class Element>
inline float dot(const float* a, const Element* b, std::int64_t count) {
  floats<Variant> sums = {};
  std::int64_t i = 0;
  for (; i + Variant::lanes <= count; i += Variant::lanes) {
    floats<Variant> left;
    floats<Variant> right;
    read<Variant>(a + i, left);
    read<Variant>(b + i, right);
    sums += left * right;
  }
  float sum = sum_of<Variant>(sums);
  for (; i < count; ++i) {
    sum += a[i] * read_one<Variant>(b + i);
  }
  return sum;
}

/// Slots whose keys and values lie one behind the other.
template <class Element>
struct slot_run {
  const Element* keys;
  const Element* values;
  std::int64_t first;  // slot
  std::int64_t count;
};

/// Scores of one query head become weights that add up to 1; a hidden slot's is minus infinity.
template <class Variant>
inline void normalize(float* scores, std::int64_t count) {
  float highest = scores[0];
  for (std::int64_t i = 1; i < count; ++i) {
    highest = scores[i] > highest ? scores[i] : highest;
  }
  float sum = 0;
  for (std::int64_t i = 0; i < count; ++i) {
    scores[i] = ::expf(scores[i] - highest);
    sum += scores[i];
  }
  for (std::int64_t i = 0; i < count; ++i) {
    scores[i] /= sum;
  }
}

/// Elements [d, d + lanes) of a head's context: the values of all slots, weighted.
template <class Variant, class Element>
inline void sum_lanes(const slot_run<Element> (&runs)[2], const float* weights, std::int64_t head_dim, std::int64_t d,
                      float* context) {
  floats<Variant> sums = {};
  for (const slot_run<Element>& run : runs) {
    for (std::int64_t i = 0; i < run.count; ++i) {
      floats<Variant> values;
      read<Variant>(run.values + i * head_dim + d, values);
      sums += values * *weights++;
    }
  }
  std::memcpy(context + d, &sums, sizeof sums);
}

template <class Variant, class Element>
inline float sum_one(const slot_run<Element> (&runs)[2], const float* weights, std::int64_t head_dim, std::int64_t d) {
  float sum = 0;
  for (const slot_run<Element>& run : runs) {
    for (std::int64_t i = 0; i < run.count; ++i) {
      sum += read_one<Variant>(run.values + i * head_dim + d) * *weights++;
    }
  }
  return sum;
}

template <class Variant, class Element>
void attend_row(const cached_attention& a, std::int64_t row, std::int64_t kv_head, float* scores) {
  const row_slots s = slots_of_row(a, row, kv_head);
  const std::int64_t count = s.end - s.first;
  const std::int64_t first_head = (row * a.kv_heads + kv_head) * a.shared;
  const float* const q = static_cast<const float*>(a.q) + first_head * a.head_dim;
  float* const context = static_cast<float*>(a.context) + first_head * a.head_dim;
  const auto run = [&](const void* keys, const void* values, std::int64_t at, std::int64_t first, std::int64_t slots) {
    const std::int64_t begin = at * a.head_dim;
    return slot_run<Element>{static_cast<const Element*>(keys) + begin, static_cast<const Element*>(values) + begin,
                             first, slots};
  };
  const std::int64_t in_prefix = s.first < s.prefix ? s.prefix - s.first : 0;
  const std::int64_t in_tail = count - in_prefix;
  const slot_run<Element> runs[2] = {
      run(a.prefix_keys, a.prefix_values, s.prefix_at + s.first, s.first, in_prefix),
      run(a.tail_keys, a.tail_values, s.tail_at + s.end - in_tail - s.prefix, s.end - in_tail, in_tail)};
  std::int64_t scored = 0;
  for (const slot_run<Element>& each : runs) {
    for (std::int64_t i = 0; i < each.count; ++i, ++scored) {
      const bool visible = is_visible(a, s, each.first + i);
      for (std::int64_t j = 0; j < a.shared; ++j) {
        float score = -__builtin_inff();
        if (visible) {
          score = dot<Variant>(q + j * a.head_dim, each.keys + i * a.head_dim, a.head_dim) * a.scale;
          score = a.softcap > 0 ? ::tanhf(score / a.softcap) * a.softcap : score;
        }
        scores[j * count + scored] = score;
      }
    }
  }
  for (std::int64_t j = 0; j < a.shared; ++j) {
    const float* const weights = scores + j * count;
    normalize<Variant>(scores + j * count, count);
    std::int64_t d = 0;
    for (; d + Variant::lanes <= a.head_dim; d += Variant::lanes) {
      sum_lanes<Variant>(runs, weights, a.head_dim, d, context + j * a.head_dim);
    }
    for (; d < a.head_dim; ++d) {
      context[j * a.head_dim + d] = sum_one<Variant>(runs, weights, a.head_dim, d);
    }
  }
}

}  // namespace attention_rows
}  // namespace kvtransfer::kernels
