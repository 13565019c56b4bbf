#include "kernels/linear/nf4_linear.hpp"

#include <ATen/Parallel.h>
#include <ATen/TensorOperators.h>
#include <ATen/Version.h>
#include <ATen/ops/empty.h>
#include <torch/library.h>

#include <algorithm>
#include <bit>
#include <string>
#include <vector>

#include "kernels/linear/nf4_rows.hpp"
#include "kernels/operator_functions.hpp"
#include "kvtransfer/core/error.hpp"
#include "kvtransfer/tensor/checks.hpp"

// Products with matrices in bitsandbytes' NF4, as torch's dispatcher and `torch.ops.kvtransfer` in Python know them.
//
//   nf4_linear(x, bias, codes, absmax, nested_absmax, quant_map, offset, out, block_size, nested_block_size, dtype)
//   nf4_dequantize(codes, absmax, nested_absmax, quant_map, offset, out, block_size, nested_block_size, dtype)
//
// x             [..., in], float, bfloat16 or half; the result is [..., out] in its dtype, sums in fp32
// bias          [out] in x's dtype, or absent
// codes         uint8, out * in / 2 of them in any shape: two elements a byte, the first in the high half
// absmax        float [blocks], the scale of each block of elements; uint8 with nested scales
// nested_absmax float [blocks / nested_block_size, rounded up]; quant_map float [256]; offset float []: all or none
// dtype         the matrix's: each value is rounded to it (and to x's) before it is multiplied, so that a product is
// that
//               with the matrix that nf4_dequantize gives
//
// On CUDA, up to three matrices at once, of one width, dtype and block sizes: lists of their tensors, those of nested
// scales empty where there are none.
//
//   nf4_linears(x, biases, codes, absmax, nested_absmax, quant_map, offset, out, block_size, nested_block_size, dtype)
//   nf4_gate(..., name)  activation(the first product) * the second, see gated_activation
//
// `in` is a multiple of 8, block sizes are powers of two of at least 8. There are no gradients: dequantize for them.
// Source: bitsandbytes, functional.gemv_4bit and dequantize_4bit.

namespace kvtransfer::kernels {
namespace {

int log2_of(std::int64_t size, const char* where, const char* what) {
  const bool fits = size >= nf4_chunk && std::has_single_bit(static_cast<std::uint64_t>(size));
  require<value_error>(fits, where, what, "a power of two, 8 or more", [&] { return std::to_string(size); });
  return std::countr_zero(static_cast<std::uint64_t>(size));
}

void check(const at::Tensor& tensor, at::ScalarType dtype, std::int64_t elements, const at::Tensor& codes,
           const char* where, const char* what) {
  const bool fits = tensor.scalar_type() == dtype && tensor.numel() == elements && tensor.is_contiguous() &&
                    tensor.device() == codes.device();
  require<shape_error>(
      fits, where, what,
      [&] {
        return std::to_string(elements) + " elements of " + at::toString(dtype) + ", contiguous, on " +
               codes.device().str();
      },
      [&] { return describe(tensor); });
}

std::int64_t divided_up(std::int64_t count, int shift) { return (count + (std::int64_t{1} << shift) - 1) >> shift; }

}  // namespace

nf4_codes lower(const nf4_tensors& matrix, nf4_rounding rounding, const char* where) {
  nf4_codes lowered;
  const std::int64_t elements = 2 * matrix.codes.numel();
  const bool divides = matrix.out > 0 && elements % matrix.out == 0 && (elements / matrix.out) % nf4_chunk == 0;
  require<shape_error>(divides, where, "codes", "rows of a multiple of 8 elements", [&] {
    return std::to_string(elements) + " elements for " + std::to_string(matrix.out) + " rows";
  });
  lowered.out = matrix.out;
  lowered.in = elements / matrix.out;
  lowered.rounding = rounding;
  lowered.block_shift = log2_of(matrix.block_size, where, "block_size");
  check(matrix.codes, at::kByte, matrix.codes.numel(), matrix.codes, where, "codes");
  lowered.codes = matrix.codes.const_data_ptr<std::uint8_t>();
  const std::int64_t blocks = divided_up(elements, lowered.block_shift);
  const bool nested = matrix.nested_absmax.has_value();
  if (nested != matrix.quant_map.has_value() || nested != matrix.offset.has_value()) {
    fail<value_error>(where, "nested scales", "nested_absmax, quant_map and offset together", "some of them");
  }
  check(matrix.absmax, nested ? at::kByte : at::kFloat, blocks, matrix.codes, where, "absmax");
  if (nested) {
    lowered.nested_shift = log2_of(matrix.nested_block_size, where, "nested_block_size");
    check(*matrix.nested_absmax, at::kFloat, divided_up(blocks, lowered.nested_shift), matrix.codes, where,
          "nested_absmax");
    check(*matrix.quant_map, at::kFloat, 256, matrix.codes, where, "quant_map");
    check(*matrix.offset, at::kFloat, 1, matrix.codes, where, "offset");
    lowered.nested_codes = matrix.absmax.const_data_ptr<std::uint8_t>();
    lowered.nested_absmax = matrix.nested_absmax->const_data_ptr<float>();
    lowered.quant_map = matrix.quant_map->const_data_ptr<float>();
    lowered.offset = matrix.offset->const_data_ptr<float>();
  } else {
    lowered.absmax = matrix.absmax.const_data_ptr<float>();
  }
  return lowered;
}

nf4_rounding rounding_of(at::ScalarType stored, at::ScalarType used, const char* where) {
  const at::ScalarType narrow = stored == at::kFloat ? used : stored;
  const bool one = used == at::kFloat || used == narrow;
  if (!one || (narrow != at::kFloat && narrow != at::kBFloat16 && narrow != at::kHalf)) {
    fail<value_error>(where, "dtype", std::string("float, or that of x, ") + at::toString(used), at::toString(stored));
  }
  return narrow == at::kFloat      ? nf4_rounding::none
         : narrow == at::kBFloat16 ? nf4_rounding::bfloat16
                                   : nf4_rounding::float16;
}

at::Tensor checked_rows(const at::Tensor& x, const nf4_tensors& matrix) {
  const std::int64_t in = matrix.out > 0 ? 2 * matrix.codes.numel() / matrix.out : 0;
  require<shape_error>(
      x.dim() > 0 && x.size(-1) == in, "nf4_linear", "x", [&] { return "[..., " + std::to_string(in) + "]"; },
      [&] { return describe(x); });
  require_same_device(x, matrix.codes, "nf4_linear", "codes");
  const at::Tensor rows = x.reshape({-1, in}).contiguous();
  const bool aligned = reinterpret_cast<std::uintptr_t>(rows.const_data_ptr()) % 16 == 0;
  return aligned ? rows : rows.clone();
}

at::Tensor shaped_as_result(const at::Tensor& product, const at::Tensor& x, std::int64_t out) {
  std::vector<std::int64_t> shape = x.sizes().vec();
  shape.back() = out;
  return product.view(shape);
}

namespace {

at::Tensor nf4_linear_on_cpu(const nf4_tensors& matrix, const at::Tensor& x, const optional_tensor& bias) {
  constexpr std::int64_t elements_worth_a_thread = 32768;
  const nf4_codes codes = lower(matrix, rounding_of(matrix.dtype, x.scalar_type(), "nf4_linear"), "nf4_linear");
  const at::Tensor rows = checked_rows(x, matrix).to(at::kFloat);
  const at::Tensor product = at::empty({rows.size(0), codes.out}, rows.options());
  const float* const from = rows.const_data_ptr<float>();
  float* const to = product.mutable_data_ptr<float>();
  static const auto multiply = best_nf4_variant().multiply;
  at::parallel_for(0, codes.out, elements_worth_a_thread / codes.in + 1, [&](std::int64_t begin, std::int64_t end) {
    std::vector<float> row(static_cast<std::size_t>(codes.in));
    multiply(codes, from, rows.size(0), to, row.data(), begin, end);
  });
  const at::Tensor result = bias ? product + *bias : product;
  return shaped_as_result(result.to(x.scalar_type()), x, codes.out);
}

at::Tensor nf4_dequantize_on_cpu(const nf4_tensors& matrix) {
  constexpr std::int64_t elements_worth_a_thread = 32768;
  const nf4_codes codes = lower(matrix, rounding_of(matrix.dtype, matrix.dtype, "nf4_dequantize"), "nf4_dequantize");
  const at::Tensor values = at::empty({codes.out, codes.in}, matrix.codes.options().dtype(at::kFloat));
  float* const to = values.mutable_data_ptr<float>();
  static const auto dequantize = best_nf4_variant().dequantize;
  const std::int64_t block = std::int64_t{1} << codes.block_shift;
  const std::int64_t elements = codes.out * codes.in;
  at::parallel_for(0, (elements + block - 1) / block, elements_worth_a_thread / block + 1,
                   [&](std::int64_t begin, std::int64_t end) {
                     dequantize(codes, to + begin * block, begin * block, std::min(end * block, elements));
                   });
  return values.to(matrix.dtype);
}

}  // namespace

const nf4_cpu_variant& best_nf4_variant() {
#if defined(__x86_64__)
  const std::string capability = at::get_cpu_capability();
  if (capability == "AVX512") {
    return nf4_avx512_variant;
  }
  if (capability == "AVX2") {
    return nf4_avx2_variant;
  }
#endif
  return nf4_scalar_variant;
}

}  // namespace kvtransfer::kernels

TORCH_LIBRARY_FRAGMENT(kvtransfer, library) {
  const std::string matrix =
      "Tensor codes, Tensor absmax, Tensor? nested_absmax, Tensor? quant_map, Tensor? offset, int out, int block_size, "
      "int nested_block_size, ScalarType dtype";
  library.def(("nf4_linear(Tensor x, Tensor? bias, " + matrix + ") -> Tensor").c_str());
  library.def(("nf4_dequantize(" + matrix + ") -> Tensor").c_str());
  const std::string matrices =
      "Tensor x, Tensor?[] biases, Tensor[] codes, Tensor[] absmax, Tensor[] nested_absmax, Tensor[] quant_map, "
      "Tensor[] "
      "offset, int[] out, int block_size, int nested_block_size, ScalarType dtype";
  library.def(("nf4_linears(" + matrices + ") -> Tensor[]").c_str());
  library.def(("nf4_gate(" + matrices + ", str name) -> Tensor").c_str());
}

TORCH_LIBRARY_IMPL(kvtransfer, CPU, library) {
  using namespace kvtransfer::kernels;
  library.impl("nf4_linear", TORCH_FN(operator_function<&nf4_linear_on_cpu>));
  library.impl("nf4_dequantize", TORCH_FN(operator_function<&nf4_dequantize_on_cpu>));
}
