#include "kernels/decode/decode_attention.hpp"

#include <ATen/Parallel.h>
#include <ATen/Version.h>
#include <ATen/ops/empty.h>
#include <torch/library.h>

#include <string>
#include <vector>

#include "kernels/decode/attention_rows.hpp"
#include "kvtransfer/core/error.hpp"
#include "kvtransfer/tensor/checks.hpp"

// One query of each of several sequences against what they have in their caches. Sequences come in groups; those of a
// group share the prefix in front of their tails.
//
//   decode_attention(q, prefix_keys, prefix_values, tail_keys, tail_values, sequences, lengths, prefix_lengths,
//                    ordinals, counts, window, scale, softcap)
//
// q               [rows, q_heads, head_dim], float, bfloat16 or half; the result is like it
// prefix_keys     [groups, kv_heads, prefix, head_dim] in q's dtype, on a CPU float or bfloat16; so are the next three
// tail_keys       [sequences, kv_heads, tail, head_dim], sequences a multiple of groups: neighbours share one
// sequences       int64 [rows]
// lengths         int64 [sequences], any stride: the tail slot of the query's own key, the last that it sees
// prefix_lengths  int64 [groups]: slots in use
// ordinals        int64 [groups, kv_heads or 1, prefix]: a key's number from 1 on; a number beyond `counts` hides a
// slot counts          int64 [groups, kv_heads or 1]: keys in the prefix window          how many keys a query sees,
// its own included; absent: all scale, softcap  a score is scale * q·k, then, with a cap, cap * tanh(score / cap)
//
// Sums are fp32. There are no gradients.

namespace kvtransfer::kernels {

namespace {

constexpr const char* in_decode_attention = "decode_attention";

void require_cache(const at::Tensor& cache, const char* what, const at::Tensor& like, const at::Tensor& q) {
  require<shape_error>(
      cache.dim() == 4 && cache.is_contiguous() && cache.sizes() == like.sizes() && cache.size(3) == q.size(2) &&
          cache.device() == q.device() && cache.scalar_type() == like.scalar_type(),
      in_decode_attention, what, "[groups or sequences, kv_heads, slots, head_dim], contiguous, keys and values alike",
      [&] { return describe(cache); });
}

void require_numbers(const at::Tensor& numbers, const char* what, std::vector<std::int64_t> shape, const at::Tensor& q,
                     bool any_stride = false) {
  require<shape_error>(
      numbers.sizes() == at::IntArrayRef(shape) && numbers.scalar_type() == at::kLong &&
          numbers.device() == q.device() && (any_stride || numbers.is_contiguous()),
      in_decode_attention, what,
      [&] { return "int64 of shape " + fmt::format("[{}]", fmt::join(shape, ", ")) + " beside q"; },
      [&] { return describe(numbers); });
}

}  // namespace

cached_attention lower(const attention_tensors& tensors, const at::Tensor& context) {
  const at::Tensor& q = tensors.q;
  require<shape_error>(q.dim() == 3 && q.is_contiguous() && tensors.prefix_keys.dim() == 4 &&
                           tensors.tail_keys.dim() == 4 && tensors.prefix_keys.size(1) == tensors.tail_keys.size(1) &&
                           tensors.tail_keys.size(1) > 0 && q.size(1) % tensors.tail_keys.size(1) == 0,
                       in_decode_attention, "q",
                       "[rows, q_heads, head_dim], contiguous, query heads a multiple of KV heads",
                       [&] { return describe(q); });
  require_cache(tensors.prefix_keys, "prefix_keys", tensors.prefix_keys, q);
  require_cache(tensors.prefix_values, "prefix_values", tensors.prefix_keys, q);
  require_cache(tensors.tail_keys, "tail_keys", tensors.tail_keys, q);
  require_cache(tensors.tail_values, "tail_values", tensors.tail_keys, q);
  const std::int64_t groups = tensors.prefix_keys.size(0);
  const std::int64_t sequences = tensors.tail_keys.size(0);
  const std::int64_t kv_heads = tensors.tail_keys.size(1);
  require<shape_error>(groups > 0 && sequences % groups == 0, in_decode_attention, "tail_keys",
                       "as many sequences for each group", [&] { return describe(tensors.tail_keys); });
  const std::int64_t heads = tensors.counts.dim() == 2 ? tensors.counts.size(1) : 1;
  require<shape_error>(heads == 1 || heads == kv_heads, in_decode_attention, "counts", "[groups, kv_heads or 1]",
                       [&] { return describe(tensors.counts); });
  require_numbers(tensors.sequences, "sequences", {q.size(0)}, q);
  require_numbers(tensors.lengths, "lengths", {sequences}, q, true);
  require_numbers(tensors.prefix_lengths, "prefix_lengths", {groups}, q);
  require_numbers(tensors.ordinals, "ordinals", {groups, heads, tensors.prefix_keys.size(2)}, q);
  require_numbers(tensors.counts, "counts", {groups, heads}, q);
  require<value_error>(!tensors.window || *tensors.window > 0, in_decode_attention, "window", "1 or more", "less");
  cached_attention lowered;
  lowered.q = q.const_data_ptr();
  lowered.context = context.mutable_data_ptr();
  lowered.prefix_keys = tensors.prefix_keys.const_data_ptr();
  lowered.prefix_values = tensors.prefix_values.const_data_ptr();
  lowered.tail_keys = tensors.tail_keys.const_data_ptr();
  lowered.tail_values = tensors.tail_values.const_data_ptr();
  lowered.sequences = tensors.sequences.const_data_ptr<std::int64_t>();
  lowered.lengths = tensors.lengths.const_data_ptr<std::int64_t>();
  lowered.prefix_lengths = tensors.prefix_lengths.const_data_ptr<std::int64_t>();
  lowered.ordinals = tensors.ordinals.const_data_ptr<std::int64_t>();
  lowered.counts = tensors.counts.const_data_ptr<std::int64_t>();
  lowered.rows = q.size(0);
  lowered.tails = sequences;
  lowered.members = sequences / groups;
  lowered.kv_heads = kv_heads;
  lowered.shared = q.size(1) / kv_heads;
  lowered.head_dim = q.size(2);
  lowered.prefix = tensors.prefix_keys.size(2);
  lowered.tail = tensors.tail_keys.size(2);
  lowered.length_stride = tensors.lengths.stride(0);
  lowered.ordinal_heads = heads;
  lowered.window = tensors.window.value_or(0);
  lowered.scale = static_cast<float>(tensors.scale);
  lowered.softcap = static_cast<float>(tensors.softcap.value_or(0));
  return lowered;
}

const attention_cpu_variant& best_attention_variant() {
#if defined(__x86_64__)
  const std::string capability = at::get_cpu_capability();
  if (capability == "AVX512") {
    return attention_avx512_variant;
  }
  if (capability == "AVX2") {
    return attention_avx2_variant;
  }
#endif
  return attention_scalar_variant;
}

namespace {

at::Tensor decode_attention(const at::Tensor& q, const at::Tensor& prefix_keys, const at::Tensor& prefix_values,
                            const at::Tensor& tail_keys, const at::Tensor& tail_values, const at::Tensor& sequences,
                            const at::Tensor& lengths, const at::Tensor& prefix_lengths, const at::Tensor& ordinals,
                            const at::Tensor& counts, std::optional<std::int64_t> window, double scale,
                            std::optional<double> softcap) {
  const at::ScalarType kept = tail_keys.scalar_type();
  require<value_error>((kept == at::kFloat || kept == at::kBFloat16) && kept == prefix_keys.scalar_type(),
                       in_decode_attention, "tail_keys", "float or bfloat16", [&] { return describe(tail_keys); });
  const at::Tensor queries = q.to(at::kFloat).contiguous();
  const at::Tensor context = at::empty(q.sizes(), queries.options());
  const cached_attention lowered = lower({queries, prefix_keys, prefix_values, tail_keys, tail_values, sequences,
                                          lengths, prefix_lengths, ordinals, counts, window, scale, softcap},
                                         context);
  static const attention_cpu_variant& variant = best_attention_variant();
  const auto attend_row = kept == at::kFloat ? variant.float32 : variant.bfloat16;
  at::parallel_for(0, lowered.rows * lowered.kv_heads, 1, [&](std::int64_t begin, std::int64_t end) {
    std::vector<float> scores;
    for (std::int64_t i = begin; i < end; ++i) {
      const row_slots s = slots_of_row(lowered, i / lowered.kv_heads, i % lowered.kv_heads);
      scores.resize(static_cast<std::size_t>(lowered.shared * (s.end - s.first)));
      attend_row(lowered, i / lowered.kv_heads, i % lowered.kv_heads, scores.data());
    }
  });
  return context.to(q.scalar_type());
}

}  // namespace
}  // namespace kvtransfer::kernels

TORCH_LIBRARY_FRAGMENT(kvtransfer, library) {
  library.def(
      "decode_attention(Tensor q, Tensor prefix_keys, Tensor prefix_values, Tensor tail_keys, Tensor tail_values, "
      "Tensor sequences, Tensor lengths, Tensor prefix_lengths, Tensor ordinals, Tensor counts, int? window, float "
      "scale, float? softcap) -> Tensor");
}

TORCH_LIBRARY_IMPL(kvtransfer, CPU, library) {
  library.impl("decode_attention", TORCH_FN(kvtransfer::kernels::decode_attention));
}
