#include "kernels/decode/keep_rotated.hpp"

#include <ATen/Dispatch_v2.h>
#include <ATen/Parallel.h>
#include <torch/library.h>

#include <algorithm>
#include <string>

#include "kvtransfer/core/error.hpp"
#include "kvtransfer/tensor/checks.hpp"

// What stands between a step's projections and its attention: queries and keys are rotated, keys and values kept in the
// slots that they fill.
//
//   keep_rotated_(q, k, v, cos, sin, table_rows, sequences, lengths, tail_keys, tail_values, window_offset,
//                 interleaved)
//
// q              [rows, q_heads, head_dim], float, bfloat16 or half; rotated where it lies
// k, v           [rows, kv_heads, head_dim]; strides between rows are free, heads lie side by side
// cos, sin       [places, rotary_dim / 2]; absent where nothing is rotated
// table_rows     int64 [rows]: the place of each row's token
// sequences      int64 [rows]: whose token it is, no sequence twice
// lengths        int64 [sequences], any stride: the slot that a sequence's token fills
// tail_keys      [sequences, kv_heads, tail, head_dim]; tail_values alike
// window_offset  the first rotated element of a head; interleaved: pairs are neighbours, not halves
//
// Products and sums are rounded one after the other, as PyTorch's are.

namespace kvtransfer::kernels {

namespace {

constexpr const char* in_keep_rotated = "keep_rotated_";

void require_heads(const at::Tensor& x, const char* what, const at::Tensor& q, std::int64_t heads) {
  const bool fits = x.dim() == 3 && x.size(0) == q.size(0) && x.size(1) == heads && x.size(2) == q.size(2) &&
                    x.stride(2) == 1 && (heads == 1 || x.stride(1) == q.size(2)) &&
                    x.scalar_type() == q.scalar_type() && x.device() == q.device();
  require<shape_error>(fits, in_keep_rotated, what, "[rows, heads, head_dim] beside q, heads side by side",
                       [&] { return describe(x); });
}

void require_index(const at::Tensor& index, const char* what, std::int64_t count, const at::Tensor& q,
                   bool any_stride = false) {
  require<shape_error>(
      index.dim() == 1 && index.size(0) == count && index.scalar_type() == at::kLong && index.device() == q.device() &&
          (any_stride || index.is_contiguous()),
      in_keep_rotated, what, [&] { return std::to_string(count) + " of int64 beside q"; },
      [&] { return describe(index); });
}

}  // namespace

kept_rows lower(const kept_tensors& kept) {
  const at::Tensor& q = kept.q;
  require<shape_error>(q.dim() == 3 && kept.tail_keys.dim() == 4 && q.size(2) % 2 == 0, in_keep_rotated, "q",
                       "[rows, q_heads, head_dim], head_dim even", [&] { return describe(q); });
  const std::int64_t kv_heads = kept.tail_keys.size(1);
  require_heads(q, "q", q, q.size(1));
  require_heads(kept.k, "k", q, kv_heads);
  require_heads(kept.v, "v", q, kv_heads);
  for (const at::Tensor& tail : {kept.tail_keys, kept.tail_values}) {
    require<shape_error>(tail.sizes() == kept.tail_keys.sizes() && tail.size(3) == q.size(2) && tail.is_contiguous() &&
                             tail.scalar_type() == q.scalar_type() && tail.device() == q.device(),
                         in_keep_rotated, "tail_keys", "[sequences, kv_heads, tail, head_dim], contiguous, beside q",
                         [&] { return describe(tail); });
  }
  require_index(kept.table_rows, "table_rows", q.size(0), q);
  require_index(kept.sequences, "sequences", q.size(0), q);
  require_index(kept.lengths, "lengths", kept.tail_keys.size(0), q, true);
  require<value_error>(kept.cos.has_value() == kept.sin.has_value(), in_keep_rotated, "sin", "both or none", "one");
  std::int64_t half = 0;
  if (kept.cos) {
    for (const at::Tensor& table : {*kept.cos, *kept.sin}) {
      require<shape_error>(table.dim() == 2 && table.sizes() == kept.cos->sizes() && table.is_contiguous() &&
                               table.scalar_type() == q.scalar_type() && table.device() == q.device(),
                           in_keep_rotated, "cos", "[places, rotary_dim / 2], contiguous, beside q",
                           [&] { return describe(table); });
    }
    half = kept.cos->size(1);
  }
  require<shape_error>(kept.window_offset >= 0 && kept.window_offset + 2 * half <= q.size(2), in_keep_rotated,
                       "window_offset", "a window inside a head", [&] { return std::to_string(kept.window_offset); });
  return {.rows = q.size(0),
          .q_heads = q.size(1),
          .kv_heads = kv_heads,
          .head_dim = q.size(2),
          .half = half,
          .window_offset = kept.window_offset,
          .interleaved = kept.interleaved,
          .q_stride = q.stride(0),
          .k_stride = kept.k.stride(0),
          .v_stride = kept.v.stride(0),
          .length_stride = kept.lengths.stride(0),
          .tail = kept.tail_keys.size(2),
          .table_rows = kept.table_rows.const_data_ptr<std::int64_t>(),
          .sequences = kept.sequences.const_data_ptr<std::int64_t>(),
          .lengths = kept.lengths.const_data_ptr<std::int64_t>()};
}

namespace {

/// `to` gets a head of `from`, rotated; the two may be one.
template <class Element>
void rotate_head(const kept_rows& kept, const Element* from, const Element* cos, const Element* sin, Element* to) {
  const auto rounded = [](float value) { return static_cast<float>(static_cast<Element>(value)); };
  for (std::int64_t pair = 0; pair < kept.head_dim / 2; ++pair) {
    const element_pair at = elements_of_pair(kept, pair);
    const Element first = from[at.first];
    const Element second = from[at.second];
    if (pair >= kept.half) {
      to[at.first] = first;
      to[at.second] = second;
      continue;
    }
    const auto a = static_cast<float>(first);
    const auto b = static_cast<float>(second);
    const auto c = static_cast<float>(cos[pair]);
    const auto s = static_cast<float>(sin[pair]);
    to[at.first] = static_cast<Element>(rounded(a * c) - rounded(b * s));
    to[at.second] = static_cast<Element>(rounded(b * c) + rounded(a * s));
  }
}

template <class Element>
void keep_on_cpu(const kept_rows& kept, const kept_tensors& tensors) {
  auto* const q = tensors.q.mutable_data_ptr<Element>();
  const auto* const k = tensors.k.const_data_ptr<Element>();
  const auto* const v = tensors.v.const_data_ptr<Element>();
  const auto* const cos = tensors.cos ? tensors.cos->const_data_ptr<Element>() : nullptr;
  const auto* const sin = tensors.sin ? tensors.sin->const_data_ptr<Element>() : nullptr;
  auto* const keys = tensors.tail_keys.mutable_data_ptr<Element>();
  auto* const values = tensors.tail_values.mutable_data_ptr<Element>();
  constexpr std::int64_t rows_worth_a_thread = 8;
  at::parallel_for(0, kept.rows, rows_worth_a_thread, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t row = begin; row < end; ++row) {
      const std::int64_t place = kept.table_rows[row] * kept.half;
      const std::int64_t sequence = kept.sequences[row];
      const std::int64_t slot = kept.lengths[sequence * kept.length_stride];
      for (std::int64_t head = 0; head < kept.q_heads; ++head) {
        Element* const one = q + row * kept.q_stride + head * kept.head_dim;
        rotate_head(kept, one, cos + place, sin + place, one);
      }
      for (std::int64_t head = 0; head < kept.kv_heads; ++head) {
        const std::int64_t to = ((sequence * kept.kv_heads + head) * kept.tail + slot) * kept.head_dim;
        rotate_head(kept, k + row * kept.k_stride + head * kept.head_dim, cos + place, sin + place, keys + to);
        const Element* const value = v + row * kept.v_stride + head * kept.head_dim;
        std::copy(value, value + kept.head_dim, values + to);
      }
    }
  });
}

void keep_rotated_(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, const std::optional<at::Tensor>& cos,
                   const std::optional<at::Tensor>& sin, const at::Tensor& table_rows, const at::Tensor& sequences,
                   const at::Tensor& lengths, const at::Tensor& tail_keys, const at::Tensor& tail_values,
                   std::int64_t window_offset, bool interleaved) {
  const kept_tensors tensors{q,         k,       v,         cos,         sin,           table_rows,
                             sequences, lengths, tail_keys, tail_values, window_offset, interleaved};
  const kept_rows kept = lower(tensors);
  AT_DISPATCH_V2(q.scalar_type(), in_keep_rotated, AT_WRAP([&] { keep_on_cpu<scalar_t>(kept, tensors); }), at::kFloat,
                 at::kBFloat16, at::kHalf);
}

}  // namespace
}  // namespace kvtransfer::kernels

TORCH_LIBRARY_FRAGMENT(kvtransfer, library) {
  library.def(
      "keep_rotated_(Tensor(a!) q, Tensor k, Tensor v, Tensor? cos, Tensor? sin, Tensor table_rows, Tensor sequences, "
      "Tensor lengths, Tensor(b!) tail_keys, Tensor(c!) tail_values, int window_offset, bool interleaved) -> ()");
}

TORCH_LIBRARY_IMPL(kvtransfer, CPU, library) {
  library.impl("keep_rotated_", TORCH_FN(kvtransfer::kernels::keep_rotated_));
}
