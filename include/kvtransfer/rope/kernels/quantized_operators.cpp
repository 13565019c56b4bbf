#include "kvtransfer/rope/kernels/quantized_operators.hpp"

#include <ATen/core/LegacyTypeDispatch.h>
#include <ATen/core/grad_mode.h>
#include <fmt/format.h>
#include <torch/library.h>

#include <vector>

#include "kvtransfer/core/error.hpp"
#include "kvtransfer/rope/kernels/key_checks.hpp"
#include "kvtransfer/tensor/checks.hpp"

// The operator that turns quantized keys, as torch's dispatcher and `torch.ops.kvtransfer` in Python know it.
//
//   turn_quantized_(codes, scales, minimums, group_ends, held, bits, from, to, ... as turn_)
//
// codes     one layer, [batch, kv_heads, seq, head_dim * bits / 8] with any strides but a contiguous last axis: unsigned char,
// with 4
//           bits element 2i in the lower half of byte i; or float8_e4m3fn or float8_e5m2 (bits 8).
// scales    float, contiguous last axis: per token [batch, kv_heads, seq, head_dim / group_size], per channel [batch, kv_heads,
// groups,
//           head_dim]. An element is code * scale + minimum.
// minimums  as scales, with the same strides; for integers alone.
// group_ends  int64 [groups] on the codes' device, contiguous: one past the last token of each group, rising; the last is seq.
// Absent:
//           scales are per token. That they rise and end there is checked on a CPU alone.
// held      bool that broadcasts to [batch, kv_heads, seq]: tokens that are none are padding and do not count in their group's
// range.
//
// Codes become floats, are turned as turn_ turns keys, and become codes again with the scale and minimum of what they are then.
// Groups that the rotary window does not reach keep theirs.

namespace kvtransfer::rope::kernels {
namespace {

constexpr const char* where = "turn_quantized_";

std::optional<code_type> code_of(at::ScalarType dtype, std::int64_t bits) {
  if (dtype == at::kByte && (bits == 4 || bits == 8)) {
    return bits == 4 ? code_type::int4 : code_type::int8;
  }
  if (dtype == at::kFloat8_e4m3fn && bits == 8) {
    return code_type::float8_e4m3;
  }
  return dtype == at::kFloat8_e5m2 && bits == 8 ? std::optional(code_type::float8_e5m2) : std::nullopt;
}

/// @throws shape_error unless codes, scales and minimums are one another's
void check_tensors(const quantized_tensors& keys) {
  const at::Tensor& codes = keys.codes;
  if (codes.dim() != 4 || !code_of(codes.scalar_type(), keys.bits)) {
    fail<shape_error>(where, "codes", "[batch, kv_heads, seq, bytes] of 4 or 8 bits, or of fp8",
                      fmt::format("{}, {} bits", describe(codes), keys.bits));
  }
  const std::int64_t head_dim = codes.size(3) * 8 / keys.bits;
  const bool per_channel = keys.group_ends.has_value();
  const std::int64_t rows = per_channel ? keys.group_ends->numel() : codes.size(2);
  const at::Tensor& scales = keys.scales;
  const bool fits = scales.dim() == 4 && scales.scalar_type() == at::kFloat && scales.device() == codes.device() &&
                    scales.size(0) == codes.size(0) && scales.size(1) == codes.size(1) && scales.size(2) == rows &&
                    scales.size(3) > 0;
  if (!fits || (per_channel ? scales.size(3) != head_dim : head_dim % scales.size(3) != 0)) {
    fail<shape_error>(where, "scales",
                      fmt::format("Float [{}, {}, {}, {}{}] on {}", codes.size(0), codes.size(1), rows,
                                  per_channel ? "" : "a divisor of ", head_dim, codes.device().str()),
                      describe(scales));
  }
  const bool integers = codes.scalar_type() == at::kByte;
  if (keys.minimums.has_value() != integers ||
      (integers && (keys.minimums->sizes() != scales.sizes() || keys.minimums->strides() != scales.strides() ||
                    keys.minimums->scalar_type() != at::kFloat || keys.minimums->device() != scales.device()))) {
    fail<shape_error>(where, "minimums", integers ? "the type, sizes and strides of scales" : "none for fp8",
                      keys.minimums.has_value() ? describe(*keys.minimums) : "none");
  }
  check_writable({codes}, where);
  check_writable({scales}, where);
}

/// @throws shape_error unless the ends are those of groups of `seq` tokens
void check_ends(const at::Tensor& ends, const at::Tensor& codes) {
  bool fits = ends.scalar_type() == at::kLong && ends.dim() == 1 && ends.is_contiguous() && ends.device() == codes.device();
  if (fits && ends.is_cpu()) {
    const std::int64_t* const end = ends.const_data_ptr<std::int64_t>();
    std::int64_t before = 0;
    for (std::int64_t i = 0; i < ends.numel(); ++i) {
      fits = fits && end[i] > before;
      before = end[i];
    }
    fits = fits && before == codes.size(2);
  }
  if (!fits) {
    fail<shape_error>(where, "group_ends",
                      fmt::format("contiguous Long that rises to {} on {}", codes.size(2), codes.device().str()), describe(ends));
  }
}

key_strides broadcast_strides(const at::Tensor& held, const at::Tensor& codes) {
  const auto fits = [&](std::int64_t axis) { return held.size(axis) == 1 || held.size(axis) == codes.size(axis); };
  if (held.dim() != 3 || held.scalar_type() != at::kBool || held.device() != codes.device() || !fits(0) || !fits(1) || !fits(2)) {
    fail<shape_error>(where, "held",
                      fmt::format("bool that broadcasts to [{}, {}, {}]", codes.size(0), codes.size(1), codes.size(2)),
                      describe(held));
  }
  const auto stride = [&](std::int64_t axis) { return held.size(axis) == 1 ? 0 : held.stride(axis); };
  return {stride(0), stride(1), stride(2)};
}

/// Which elements get new codes: per channel the rotary window, per token whole groups.
void set_columns(quantized_turn& lowered, const quantized_tensors& keys, std::int64_t window_offset) {
  const std::int64_t end = window_offset + 2 * lowered.turn.pairs;
  const std::int64_t head_dim = keys.codes.size(3) * 8 / keys.bits;
  lowered.group_size = lowered.is_per_channel() ? 1 : head_dim / keys.scales.size(3);
  const std::int64_t first_group = window_offset / lowered.group_size;
  const std::int64_t first = first_group * lowered.group_size;
  lowered.count = (end + lowered.group_size - 1) / lowered.group_size * lowered.group_size - first;
  lowered.window = window_offset - first;
  if (first * keys.bits % 8 != 0 || lowered.count * keys.bits % 8 != 0) {
    fail<shape_error>(where, "rotary window", "whole bytes of codes",
                      fmt::format("elements [{}, {})", first, first + lowered.count));
  }
  lowered.keys.codes = static_cast<std::uint8_t*>(keys.codes.mutable_data_ptr()) + first * keys.bits / 8;
  lowered.keys.scales = keys.scales.mutable_data_ptr<float>() + first_group;
  lowered.keys.minimums = keys.minimums.has_value() ? keys.minimums->mutable_data_ptr<float>() + first_group : nullptr;
}

quantized_turn lower_quantized(const quantized_tensors& keys, const turn_tensors& turn) {
  const at::Tensor& codes = keys.codes;
  const std::int64_t head_dim = codes.size(3) * 8 / keys.bits;
  // Extents, type and device of the elements; their data is never read.
  const at::Tensor elements =
      keys.scales.as_strided({1, 1, 1, 1}, {1, 1, 1, 1}).expand({codes.size(0), codes.size(1), codes.size(2), head_dim});
  quantized_turn lowered;
  lowered.turn = lower(elements, turn);
  lowered.turn.source = {codes.stride(0), codes.stride(1), codes.stride(2)};
  lowered.scales = {keys.scales.stride(0), keys.scales.stride(1), keys.scales.stride(2)};
  lowered.code = code_of(codes.scalar_type(), keys.bits).value();
  if (keys.group_ends.has_value()) {
    check_ends(*keys.group_ends, codes);
    lowered.group_ends = keys.group_ends->const_data_ptr<std::int64_t>();
    lowered.groups = keys.group_ends->numel();
  }
  if (keys.held.has_value()) {
    lowered.held_strides = broadcast_strides(*keys.held, codes);
    lowered.held = keys.held->const_data_ptr<bool>();
  }
  set_columns(lowered, keys, turn.window_offset);
  return lowered;
}

}  // namespace

void turn_quantized_in_place(const quantized_tensors& keys, const turn_tensors& turn, quantized_turn_launch launch) {
  check_tensors(keys);
  if (keys.codes.numel() > 0) {
    launch(lower_quantized(keys, turn));
  }
}

}  // namespace kvtransfer::rope::kernels

namespace {

using kvtransfer::rope::kernels::optional_tensor;

void turn_quantized_meta(const at::Tensor&, const at::Tensor&, const optional_tensor&, const optional_tensor&,
                         const optional_tensor&, std::int64_t, const optional_tensor&, const optional_tensor&, std::int64_t,
                         const optional_tensor&, const optional_tensor&, const optional_tensor&, double, std::int64_t, bool,
                         bool) {}

/// Refuses scales that need gradients, which a turn in place would lose, and tells autograd that the rest have changed.
void turn_quantized_autograd(const at::Tensor& codes, const at::Tensor& scales, const optional_tensor& minimums,
                             const optional_tensor& group_ends, const optional_tensor& held, std::int64_t bits,
                             const optional_tensor& from, const optional_tensor& to, std::int64_t delta,
                             const optional_tensor& from_inv_freq, const optional_tensor& to_inv_freq,
                             const optional_tensor& stream_of, double gain, std::int64_t window_offset, bool interleaved,
                             bool model_faithful) {
  for (const at::Tensor& written : {codes, scales, minimums.value_or(codes)}) {
    if (at::GradMode::is_enabled() && written.requires_grad()) {
      kvtransfer::fail<kvtransfer::value_error>("turn_quantized_", "scales", "tensors that need no gradient",
                                                "one that requires_grad");
    }
    written.unsafeGetTensorImpl()->bump_version();
  }
  const at::AutoDispatchBelowADInplaceOrView below_autograd;
  static const auto turn =
      c10::Dispatcher::singleton().findSchemaOrThrow("kvtransfer::turn_quantized_", "").typed<decltype(turn_quantized_meta)>();
  turn.call(codes, scales, minimums, group_ends, held, bits, from, to, delta, from_inv_freq, to_inv_freq, stream_of, gain,
            window_offset, interleaved, model_faithful);
}

}  // namespace

TORCH_LIBRARY_FRAGMENT(kvtransfer, library) {
  library.def(
      "turn_quantized_(Tensor(a!) codes, Tensor(b!) scales, Tensor(c!)? minimums, Tensor? group_ends, Tensor? held, int bits, "
      "Tensor? from_positions, Tensor? to_positions, int delta, Tensor? from_inv_freq, Tensor? to_inv_freq, Tensor? stream_of, "
      "float gain, int window_offset, bool interleaved, bool model_faithful) -> ()");
}

TORCH_LIBRARY_IMPL(kvtransfer, CPU, library) {
  using namespace kvtransfer::rope::kernels;
  library.impl("turn_quantized_", TORCH_FN(turn_quantized_<turn_quantized_on_cpu>));
}

TORCH_LIBRARY_IMPL(kvtransfer, Autograd, library) { library.impl("turn_quantized_", TORCH_FN(turn_quantized_autograd)); }

TORCH_LIBRARY_IMPL(kvtransfer, Meta, library) { library.impl("turn_quantized_", TORCH_FN(turn_quantized_meta)); }
