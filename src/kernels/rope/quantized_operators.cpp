#include "kernels/rope/quantized_operators.hpp"

#include <c10/util/SmallVector.h>
#include <fmt/format.h>
#include <torch/library.h>

#include <cstddef>
#include <string_view>
#include <vector>

#include "kernels/rope/key_checks.hpp"
#include "kvtransfer/core/error.hpp"
#include "kvtransfer/tensor/checks.hpp"
#include "kvtransfer/tensor/memory.hpp"

// The operator that rotates quantized keys, as torch's dispatcher and `torch.ops.kvtransfer` in Python know it.
//
//   rotate_quantized_keys_(codes, scales, minimums, errors, group_ends, valid, bits, from_positions, ... as
//   rotate_keys_)
//
// codes       the layers of a cache, each [batch, kv_heads, seq, head_dim * bits / 8] with any strides but a
//             contiguous last axis: unsigned char, with 4 bits element 2i in the lower half of byte i; or
//             float8_e4m3fn or float8_e5m2 (bits 8). All layers are one kernel on CUDA, as for rotate_keys_.
// scales      float, one for each layer, contiguous last axis: per token [batch, kv_heads, seq, head_dim / group_size],
//             per channel [batch, kv_heads, groups, head_dim]. An element is code * scale + minimum.
// minimums    as scales, with the same strides; none for fp8.
// errors      as scales, any strides but a contiguous last axis: how far moves had taken elements off before their last
//             quantization, to which this one's is added. None: nobody asks.
// group_ends  int64 [groups] on the codes' device, contiguous: one past the last token of each group, rising; the last
//             is seq. Absent: scales are per token. That they rise and end there is checked on a CPU alone.
// valid       bool that broadcasts to [batch, kv_heads, seq]: tokens that are none are padding and do not count in
//             their group's range.
//
// Codes become floats, are rotated as rotate_keys_ rotates keys, and become codes again with the scale and minimum of
// what they are then. Groups that the rotary window does not reach keep theirs.

namespace kvtransfer::rope::kernels {
namespace {

constexpr const char* where = "rotate_quantized_keys_";

std::optional<code_type> code_of(at::ScalarType dtype, std::int64_t bits) {
  if (dtype == at::kByte && (bits == 4 || bits == 8)) {
    return bits == 4 ? code_type::int4 : code_type::int8;
  }
  if (dtype == at::kFloat8_e4m3fn && bits == 8) {
    return code_type::float8_e4m3;
  }
  return dtype == at::kFloat8_e5m2 && bits == 8 ? std::optional(code_type::float8_e5m2) : std::nullopt;
}

std::int64_t head_dim_of(const quantized_layers& keys) { return keys.codes.front().size(3) * 8 / keys.bits; }

/// @throws shape_error unless every layer has one of each
void check_counts(const quantized_layers& keys) {
  const auto check = [&](at::TensorList tensors, std::string_view what, bool needed, bool allowed) {
    const std::size_t layers = keys.codes.size();
    require<shape_error>((tensors.size() == layers && allowed) || (tensors.empty() && !needed), where, what,
                         [&] { return allowed ? fmt::format("{} layers", layers) : "none for fp8"; },
                         formatted("{}", tensors.size()));
  };
  require<shape_error>(
      !keys.codes.empty() && keys.codes.front().dim() == 4 && code_of(keys.codes.front().scalar_type(), keys.bits),
      where, "codes", "[batch, kv_heads, seq, bytes] of 4 or 8 bits, or of fp8", [&] {
        return keys.codes.empty() ? "no layer" : fmt::format("{}, {} bits", describe(keys.codes.front()), keys.bits);
      });
  const bool integers = keys.codes.front().scalar_type() == at::kByte;
  check(keys.scales, "scales", true, true);
  check(keys.minimums, "minimums", integers, integers);
  check(keys.errors, "errors", false, true);
}

/// @throws shape_error unless `tensor` holds one float for each group of `codes`
void check_per_group(const at::Tensor& tensor, const at::Tensor& codes, const quantized_layers& keys,
                     std::string_view what) {
  const bool per_channel = keys.group_ends.has_value();
  const std::int64_t head_dim = head_dim_of(keys);
  const std::int64_t rows = per_channel ? keys.group_ends->numel() : codes.size(2);
  const bool fits = tensor.dim() == 4 && tensor.scalar_type() == at::kFloat && tensor.device() == codes.device() &&
                    tensor.size(0) == codes.size(0) && tensor.size(1) == codes.size(1) && tensor.size(2) == rows &&
                    tensor.size(3) > 0;
  if (!fits || (per_channel ? tensor.size(3) != head_dim : head_dim % tensor.size(3) != 0)) {
    fail<shape_error>(where, what,
                      fmt::format("Float [{}, {}, {}, {}{}] on {}", codes.size(0), codes.size(1), rows,
                                  per_channel ? "" : "a divisor of ", head_dim, codes.device().str()),
                      describe(tensor));
  }
  check_writable({tensor}, where);
}

/// @throws shape_error, device_error unless the tensors of layer `i` are one another's, and like those of the first
void check_layer(const quantized_layers& keys, std::size_t i) {
  const at::Tensor& codes = keys.codes[i];
  const at::Tensor& scales = keys.scales[i];
  const at::Tensor& first = keys.codes.front();
  require_same_device(first, codes, where, "codes");
  if (codes.sizes() != first.sizes() || codes.scalar_type() != first.scalar_type() ||
      scales.sizes() != keys.scales.front().sizes()) {
    fail<shape_error>(where, "layers", fmt::format("{} with {}", describe(first), describe(keys.scales.front())),
                      fmt::format("{} with {}", describe(codes), describe(scales)));
  }
  check_writable({codes}, where);
  check_per_group(scales, codes, keys, "scales");
  if (!keys.minimums.empty()) {
    check_per_group(keys.minimums[i], codes, keys, "minimums");
  }
  require<shape_error>(
      keys.minimums.empty() ||
          (keys.minimums[i].strides() == scales.strides() && keys.minimums[i].sizes() == scales.sizes()),
      where, "minimums", "the sizes and strides of scales", [&] { return describe(keys.minimums[i]); });
  if (!keys.errors.empty()) {
    check_per_group(keys.errors[i], codes, keys, "errors");
  }
  require<shape_error>(keys.errors.empty() || keys.errors[i].sizes() == scales.sizes(), where, "errors",
                       "the sizes of scales", [&] { return describe(keys.errors[i]); });
}

/// @throws shape_error where two of the tensors that are written to share memory: a key would be rotated twice
void check_apart(const quantized_layers& keys) {
  std::vector<at::Tensor> written;
  for (const auto& list : {keys.codes, keys.scales, keys.minimums, keys.errors}) {
    written.insert(written.end(), list.begin(), list.end());
  }
  kvtransfer::detail::for_each_overlap(written, [](std::size_t, std::size_t) {
    fail<shape_error>(where, "keys", "codes, scales, minimums and errors that share no memory", "two that overlap");
  });
}

/// @throws shape_error unless the ends are those of groups of `seq` tokens
void check_ends(const at::Tensor& ends, const at::Tensor& codes) {
  bool fits =
      ends.scalar_type() == at::kLong && ends.dim() == 1 && ends.is_contiguous() && ends.device() == codes.device();
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
                      fmt::format("contiguous Long that rises to {} on {}", codes.size(2), codes.device().str()),
                      describe(ends));
  }
}

key_strides broadcast_strides(const at::Tensor& valid, const at::Tensor& codes) {
  const auto fits = [&](std::int64_t axis) { return valid.size(axis) == 1 || valid.size(axis) == codes.size(axis); };
  require<shape_error>(valid.dim() == 3 && valid.scalar_type() == at::kBool && valid.device() == codes.device() &&
                           fits(0) && fits(1) && fits(2),
                       where, "valid",
                       formatted("bool that broadcasts to [{}, {}, {}]", codes.size(0), codes.size(1), codes.size(2)),
                       [&] { return describe(valid); });
  const auto stride = [&](std::int64_t axis) { return valid.size(axis) == 1 ? 0 : valid.stride(axis); };
  return {stride(0), stride(1), stride(2)};
}

/// The first element that gets a new code: per channel the rotary window's, per token that of the group it lies in.
std::int64_t first_element(const quantized_rotation& lowered, std::int64_t window_offset) {
  return window_offset / lowered.group_size * lowered.group_size;
}

/// Which elements get new codes.
void set_columns(quantized_rotation& lowered, const quantized_layers& keys, std::int64_t window_offset) {
  lowered.group_size = lowered.is_per_channel() ? 1 : head_dim_of(keys) / keys.scales.front().size(3);
  const std::int64_t size = lowered.group_size;
  const std::int64_t first = first_element(lowered, window_offset);
  const std::int64_t end = window_offset + 2 * lowered.rotation.pairs;
  lowered.count = (end + size - 1) / size * size - first;
  lowered.window = window_offset - first;
  require<shape_error>(first * keys.bits % 8 == 0 && lowered.count * keys.bits % 8 == 0, where, "rotary window",
                       "whole bytes of codes", formatted("elements [{}, {})", first, first + lowered.count));
}

/// All but strides and addresses.
quantized_rotation lower_quantized(const quantized_layers& keys, const rotation_tensors& rotation) {
  const at::Tensor& codes = keys.codes.front();
  // Extents, type and device of the elements; their data is never read.
  const at::Tensor elements = keys.scales.front()
                                  .as_strided({1, 1, 1, 1}, {1, 1, 1, 1})
                                  .expand({codes.size(0), codes.size(1), codes.size(2), head_dim_of(keys)});
  quantized_rotation lowered;
  lowered.rotation = lower(elements, rotation);
  lowered.code = code_of(codes.scalar_type(), keys.bits).value();
  if (keys.group_ends.has_value()) {
    check_ends(*keys.group_ends, codes);
    lowered.group_ends = keys.group_ends->const_data_ptr<std::int64_t>();
    lowered.groups = keys.group_ends->numel();
  }
  if (keys.valid.has_value()) {
    lowered.valid_strides = broadcast_strides(*keys.valid, codes);
    lowered.valid = keys.valid->const_data_ptr<bool>();
  }
  set_columns(lowered, keys, rotation.window_offset);
  return lowered;
}

/// Launches neighbouring layers together whose strides agree.
void launch_by_strides(quantized_rotation& lowered, const quantized_layers& keys, std::int64_t first,
                       quantized_rotation_launch launch) {
  c10::SmallVector<quantized_keys, 128> layers;
  for (std::size_t i = 0; i < keys.codes.size(); ++i) {
    const key_strides codes = strides_of(keys.codes[i]);
    const key_strides scales = strides_of(keys.scales[i]);
    const key_strides errors = keys.errors.empty() ? key_strides() : strides_of(keys.errors[i]);
    if (!layers.empty() &&
        !(codes == lowered.rotation.source && scales == lowered.scales && errors == lowered.errors)) {
      launch(lowered, layers.data(), static_cast<std::int64_t>(layers.size()));
      layers.clear();
    }
    lowered.rotation.source = codes;
    lowered.scales = scales;
    lowered.errors = errors;
    const auto row_of = [&](at::TensorList tensors) {
      return tensors.empty() ? nullptr : tensors[i].mutable_data_ptr<float>() + first / lowered.group_size;
    };
    layers.push_back({static_cast<std::uint8_t*>(keys.codes[i].mutable_data_ptr()) + first * keys.bits / 8,
                      {row_of(keys.scales), row_of(keys.minimums), row_of(keys.errors)}});
  }
  launch(lowered, layers.data(), static_cast<std::int64_t>(layers.size()));
}

}  // namespace

void rotate_quantized_keys_in_place(const rotation_tensors& rotation, const quantized_layers& keys,
                                    quantized_rotation_launch launch) {
  check_counts(keys);
  for (std::size_t i = 0; i < keys.codes.size(); ++i) {
    check_layer(keys, i);
  }
  check_apart(keys);
  if (keys.codes.front().numel() > 0) {
    quantized_rotation lowered = lower_quantized(keys, rotation);
    launch_by_strides(lowered, keys, first_element(lowered, rotation.window_offset), launch);
  }
}

}  // namespace kvtransfer::rope::kernels

TORCH_LIBRARY_IMPL(kvtransfer, CPU, library) {
  using namespace kvtransfer::rope::kernels;
  library.impl("rotate_quantized_keys_",
               TORCH_FN(quantized_operator_function<&rotate_quantized_keys_<rotate_quantized_keys_on_cpu>>));
}
