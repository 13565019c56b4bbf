#include "kvtransfer/model/weights/nf4_matrix.hpp"

#include <ATen/TensorOperators.h>
#include <ATen/ops/bucketize.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/linspace.h>
#include <ATen/ops/sort.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/where.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>

#include "kernels/linear/nf4_values.hpp"
#include "kvtransfer/core/error.hpp"
#include "model/weights/nf4_product.hpp"

namespace kvtransfer {

namespace {

constexpr std::array<float, 16> nf4_values{KVT_NF4_VALUES};

at::Tensor values_on(at::Device device) { return nf4_quant_map().to(device); }

/// How many elements are converted at once: what lies between codes and values takes several times their memory. On a
/// GPU each step costs a launch, so that pieces are longer there.
std::int64_t piece_size(at::Device device, std::int64_t block_size) {
  const std::int64_t wanted = device.is_cuda() ? std::int64_t{1} << 23 : std::int64_t{1} << 20;
  return std::max<std::int64_t>(1, wanted / (2 * block_size)) * 2 * block_size;  // whole blocks and whole bytes
}

/// Magnitudes of blocks of a flat tensor, the last of which may be shorter, and every element divided by its block's.
struct scaled_blocks {
  at::Tensor absmax;  // [blocks]
  at::Tensor scaled;  // [elements], -1 to 1
};

scaled_blocks scale_blocks(const at::Tensor& flat, std::int64_t block_size) {
  constexpr double smallest = 1e-38;  // a block of zeros divides by this
  const std::int64_t rest = flat.numel() % block_size;
  const at::Tensor whole = flat.slice(0, 0, flat.numel() - rest).view({-1, block_size});
  at::Tensor absmax = whole.numel() == 0 ? flat.new_empty({0}) : whole.abs().amax(1);
  at::Tensor scaled = (whole * absmax.clamp_min(smallest).reciprocal().unsqueeze(1)).clamp_(-1, 1).flatten();
  if (rest > 0) {
    const at::Tensor tail = flat.slice(0, flat.numel() - rest);
    const at::Tensor magnitude = tail.abs().amax().clamp_min(smallest);
    absmax = at::cat({absmax, magnitude.unsqueeze(0)});
    scaled = at::cat({scaled, (tail / magnitude).clamp(-1, 1)});
  }
  return {absmax, scaled};
}

/// Codes of scaled elements, two a byte; half a byte that is left over is 0's code.
/// @param bounds between the 16 values
at::Tensor packed_codes(const at::Tensor& scaled, const at::Tensor& bounds) {
  const bool odd = scaled.numel() % 2 != 0;
  const at::Tensor even = odd ? at::cat({scaled, scaled.new_zeros({1})}) : scaled;
  const at::Tensor halves = at::bucketize(even, bounds, /*out_int32=*/true).to(at::kByte).view({-1, 2});
  return halves.select(1, 0) * 16 + halves.select(1, 1);
}

/// The values of both halves of every byte: fp32 [256, 2].
at::Tensor values_of_bytes(at::Device device) {
  const at::Tensor values = nf4_quant_map();
  return at::stack({values.repeat_interleave(16), values.repeat({16})}, 1).to(device);
}

/// 8 bits of which leading zeros choose the power of ten: 256 values from -0.993 to 1, ascending.
/// Source: 8-Bit Approximations for Parallelism in Deep Learning (arXiv 1511.04561); bitsandbytes, create_dynamic_map.
at::Tensor dynamic_map() {
  constexpr int exponents = 7;
  std::vector<at::Tensor> parts;
  for (int i = 0; i < exponents; ++i) {
    const at::Tensor bounds = at::linspace(0.1, 1, (std::int64_t{1} << i) + 1, at::kFloat);
    const at::Tensor middles = (bounds.slice(0, 0, -1) + bounds.slice(0, 1)) / 2;
    const at::Tensor magnitudes = middles * std::pow(10.0, i - (exponents - 1));
    parts.push_back(magnitudes);
    parts.push_back(-magnitudes);
  }
  parts.push_back(at::tensor({0.0F, 1.0F}));
  return std::get<0>(at::sort(at::cat(parts)));
}

/// The index of the value nearest to each element, the lower one of two that are equally near.
at::Tensor nearest(const at::Tensor& elements, const at::Tensor& ascending) {
  const at::Tensor above = at::bucketize(elements, ascending).clamp_max(ascending.numel() - 1);
  const at::Tensor below = (above - 1).clamp_min(0);
  const at::Tensor to_below = (elements - ascending.index({below})).abs();
  const at::Tensor to_above = (elements - ascending.index({above})).abs();
  return at::where(to_below <= to_above, below, above).to(at::kByte);
}

}  // namespace

at::Tensor nf4_quant_map() { return at::tensor(nf4_values, at::kFloat); }

nf4_matrix quantize_nf4(const at::Tensor& dense, bool nested_scales) {
  const at::ScalarType dtype = dense.scalar_type();
  if (dtype != at::kFloat && dtype != at::kHalf && dtype != at::kBFloat16) {
    fail<value_error>("quantize_nf4", "dtype", "float32, float16 or bfloat16", at::toString(dtype));
  }
  nf4_matrix result;
  result.shape = dense.sizes().vec();
  result.dtype = dtype;
  const at::Tensor flat = dense.detach().reshape({-1});
  const std::int64_t elements = flat.numel();
  const at::Tensor codes = at::empty({(elements + 1) / 2}, flat.options().dtype(at::kByte));
  const at::Tensor absmax =
      at::empty({(elements + result.block_size - 1) / result.block_size}, flat.options().dtype(at::kFloat));
  const at::Tensor values = values_on(dense.device());
  const at::Tensor bounds = (values.slice(0, 0, -1) + values.slice(0, 1)) / 2;
  const std::int64_t size = piece_size(dense.device(), result.block_size);
  for (std::int64_t begin = 0; begin < elements; begin += size) {
    const std::int64_t end = std::min(elements, begin + size);
    const scaled_blocks piece = scale_blocks(flat.slice(0, begin, end).to(at::kFloat), result.block_size);
    absmax.slice(0, begin / result.block_size, begin / result.block_size + piece.absmax.numel()).copy_(piece.absmax);
    codes.slice(0, begin / 2, (end + 1) / 2).copy_(packed_codes(piece.scaled, bounds));
  }
  const at::Tensor infinite = absmax.isfinite().logical_not();
  if (infinite.any().item<bool>()) {
    fail<value_error>("quantize_nf4", "dense", "finite numbers",
                      fmt::format("blocks whose largest is {}", absmax.masked_select(infinite)[0].item<float>()));
  }
  result.codes = codes.unsqueeze(1);
  result.absmax = absmax;
  if (nested_scales) {
    nf4_nested_scales nested;
    nested.offset = absmax.mean();
    nested.quant_map = dynamic_map().to(dense.device());
    const at::Tensor centred = absmax - nested.offset;
    const std::int64_t blocks = (centred.numel() + nested.block_size - 1) / nested.block_size;
    const at::Tensor rest = centred.new_zeros({blocks * nested.block_size - centred.numel()});
    const at::Tensor inner = at::cat({centred, rest}).view({blocks, nested.block_size});
    nested.absmax = inner.abs().amax(1);
    const at::Tensor magnitude = nested.absmax.unsqueeze(1);
    const at::Tensor nearest_codes = nearest(inner * magnitude.reciprocal(), nested.quant_map);
    const at::Tensor bytes = nearest_codes.masked_fill(magnitude == 0, 0);  // all scales alike: bitsandbytes writes 0
    result.absmax = bytes.flatten().slice(0, 0, centred.numel()).contiguous();
    result.nested = nested;
  }
  return result;
}

at::Tensor nf4_scales(const nf4_matrix& matrix) {
  if (!matrix.nested) {
    return matrix.absmax;
  }
  const nf4_nested_scales& nested = *matrix.nested;
  const at::Tensor outer = nested.absmax.repeat_interleave(nested.block_size).slice(0, 0, matrix.absmax.numel());
  return nested.quant_map.index({matrix.absmax.to(at::kLong)}) * outer + nested.offset;
}

at::Tensor dequantize_nf4(const nf4_matrix& matrix) {
  if (const std::optional<at::Tensor> values = detail::nf4_values(matrix)) {
    return *values;
  }
  const std::int64_t elements = matrix.shape[0] * matrix.shape[1];
  const at::Tensor flat = matrix.codes.flatten();
  const at::Tensor pairs = values_of_bytes(flat.device());
  const at::Tensor scales = nf4_scales(matrix);
  const at::Tensor result = at::empty({elements}, flat.options().dtype(matrix.dtype));
  const std::int64_t size = piece_size(flat.device(), matrix.block_size);
  for (std::int64_t begin = 0; begin < elements; begin += size) {
    const std::int64_t end = std::min(elements, begin + size);
    const at::Tensor units = pairs.index_select(0, flat.slice(0, begin / 2, (end + 1) / 2).to(at::kInt)).flatten();
    const std::int64_t first = begin / matrix.block_size;
    const std::int64_t whole = (end - begin) / matrix.block_size;
    const std::int64_t in_whole = whole * matrix.block_size;
    units.slice(0, 0, in_whole)
        .view({whole, matrix.block_size})
        .mul_(scales.slice(0, first, first + whole).unsqueeze(1));
    if (begin + in_whole < end) {
      units.slice(0, in_whole, end - begin).mul_(scales.slice(0, first + whole, first + whole + 1));
    }
    result.slice(0, begin, end).copy_(units.slice(0, 0, end - begin));
  }
  return result.view(matrix.shape);
}

}  // namespace kvtransfer
