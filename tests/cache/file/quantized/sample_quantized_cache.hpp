#pragma once

#include <cstdint>

#include "cache/file/sample_cache.hpp"
#include "kvtransfer/cache/quantized/quantize_cache.hpp"
#include "kvtransfer/cache/quantized/quantized_cache.hpp"

namespace kvtransfer::test {

/// Keys per channel in groups that do not divide the slots, values per token.
inline quantization sample_key_scheme(code_format format = code_format::int4) {
  return {format, quantization_axis::per_channel, 3};
}
inline quantization sample_value_scheme(code_format format = code_format::int8) {
  return {format, quantization_axis::per_token, 2};
}

/// Two layers whose keys can be moved, of texts of unequal length.
inline cache_frame movable_frame() {
  cache_frame frame(2, {unequal_rows().positions, {plain_specification(sample_head_dim)}});
  frame.set_token_ids({{1, 2, 3, 4, 5}, {-1, -1, 6, 7, 8}});
  frame.set_origin(model_identity{"LlamaForCausalLM-2x64-0123456789abcdef"});
  return frame;
}

inline quantized_cache sample_quantized_cache(const cache_frame& frame = movable_frame()) {
  return quantize(sample_cache(frame).view(), sample_key_scheme(), sample_value_scheme());
}

/// Whether two tensors agree in scheme, groups and every bit of what they hold.
inline bool same_codes(const quantized_tensor& a, const quantized_tensor& b) {
  const auto same = [](const at::Tensor& one, const at::Tensor& other) {
    return one.defined() == other.defined() && (!one.defined() || same_bits(one, other));
  };
  return are_alike(a, b) && a.dtype == b.dtype && same(a.codes, b.codes) && same(a.scales, b.scales) &&
         same(a.minimums, b.minimums) && same(a.carried_error, b.carried_error);
}

/// Whether two caches agree in both frames, and in every bit of keys and values.
inline bool same_quantized_cache(const quantized_cache& a, const quantized_cache& b) {
  bool same = a.stored() == b.stored() && a.target() == b.target();
  for (std::int64_t i = 0; same && i < a.layers(); ++i) {
    same = same_codes(a.stored_keys(i), b.stored_keys(i)) && same_codes(a.values(i), b.values(i));
  }
  return same;
}

}  // namespace kvtransfer::test
