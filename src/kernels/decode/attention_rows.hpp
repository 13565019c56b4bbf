#pragma once

#include <math.h>

#include <cstdint>
#include <cstring>

#include "kernels/decode/cached_attention.hpp"

// One query's attention on a CPU, written for the compiler to vectorise. Included once by each variant; `Variant` keeps
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

template <class Variant>
struct bfloat16_bits {
  std::uint16_t bits;
};

template <class Variant>
inline float widened(float value) {
  return value;
}

template <class Variant>
inline float widened(bfloat16_bits<Variant> value) {
  const std::uint32_t bits = static_cast<std::uint32_t>(value.bits) << 16;
  float wide;
  std::memcpy(&wide, &bits, sizeof wide);
  return wide;
}

/// Sixteen sums side by side: one would wait for itself, and the order of a sum is not the compiler's to change.
template <class Variant, class Element>
inline float dot(const float* a, const Element* b, std::int64_t count) {
  float sums[16] = {};
  std::int64_t i = 0;
  for (; i + 16 <= count; i += 16) {
    for (int lane = 0; lane < 16; ++lane) {
      sums[lane] += a[i + lane] * widened<Variant>(b[i + lane]);
    }
  }
  for (int lane = 0; i + lane < count; ++lane) {
    sums[lane] += a[i + lane] * widened<Variant>(b[i + lane]);
  }
  float sum = 0;
  for (const float part : sums) {
    sum += part;
  }
  return sum;
}

/// sum += weight * values
template <class Variant, class Element>
inline void add_weighted(float* sum, float weight, const Element* values, std::int64_t count) {
  for (std::int64_t i = 0; i < count; ++i) {
    sum[i] += weight * widened<Variant>(values[i]);
  }
}

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

template <class Variant, class Element>
void attend_row(const cached_attention& a, std::int64_t row, std::int64_t kv_head, float* scores) {
  const row_slots s = slots_of_row(a, row, kv_head);
  const std::int64_t count = s.end - s.first;
  const std::int64_t first_head = (row * a.kv_heads + kv_head) * a.shared;
  const float* const q = static_cast<const float*>(a.q) + first_head * a.head_dim;
  float* const context = static_cast<float*>(a.context) + first_head * a.head_dim;
  const auto place = [&](const void* prefix, const void* tail, std::int64_t slot) {
    return slot < s.prefix ? static_cast<const Element*>(prefix) + (s.prefix_at + slot) * a.head_dim
                           : static_cast<const Element*>(tail) + (s.tail_at + slot - s.prefix) * a.head_dim;
  };
  for (std::int64_t i = 0; i < count; ++i) {
    const bool visible = is_visible(a, s, s.first + i);
    const Element* const key = place(a.prefix_keys, a.tail_keys, s.first + i);
    for (std::int64_t j = 0; j < a.shared; ++j) {
      float score = -__builtin_inff();
      if (visible) {
        score = dot<Variant>(q + j * a.head_dim, key, a.head_dim) * a.scale;
        score = a.softcap > 0 ? ::tanhf(score / a.softcap) * a.softcap : score;
      }
      scores[j * count + i] = score;
    }
  }
  for (std::int64_t j = 0; j < a.shared; ++j) {
    normalize<Variant>(scores + j * count, count);
  }
  for (std::int64_t e = 0; e < a.shared * a.head_dim; ++e) {
    context[e] = 0;
  }
  for (std::int64_t i = 0; i < count; ++i) {
    const Element* const value = place(a.prefix_values, a.tail_values, s.first + i);
    for (std::int64_t j = 0; j < a.shared; ++j) {
      add_weighted<Variant>(context + j * a.head_dim, scores[j * count + i], value, a.head_dim);
    }
  }
}

}  // namespace attention_rows
}  // namespace kvtransfer::kernels
