#include "model/weights/nf4_product.hpp"

#include <ATen/core/dispatch/Dispatcher.h>

#include <bit>
#include <cstdint>

#include "kernels/linear/nf4_product.hpp"
#include "kvtransfer/tensor/kernel_table.hpp"
#include "model/needs_gradient.hpp"

namespace kvtransfer::detail {

namespace {

constexpr std::int64_t most_rows = 16;  // of x: from there on bringing the matrix back is paid for

bool is_floating(at::ScalarType dtype) { return dtype == at::kFloat || dtype == at::kBFloat16 || dtype == at::kHalf; }

bool is_block_size(std::int64_t size) {
  return size >= kernels::nf4_chunk && std::has_single_bit(static_cast<std::uint64_t>(size));
}

bool has_kernel_for(const nf4_matrix& matrix, const char* name) {
  return has_kernel(name, matrix.codes.device()) && matrix.shape[1] % kernels::nf4_chunk == 0 && matrix.shape[0] > 0 &&
         matrix.codes.is_contiguous() && is_block_size(matrix.block_size) && is_floating(matrix.dtype) &&
         (!matrix.nested || is_block_size(matrix.nested->block_size));
}

using optional_tensor = std::optional<at::Tensor>;

/// The operator of that name, called with a matrix behind what else it takes.
template <class... Before>
at::Tensor call_operator(const char* name, const nf4_matrix& matrix, const Before&... before) {
  using signature =
      at::Tensor(const Before&..., const at::Tensor&, const at::Tensor&, const optional_tensor&, const optional_tensor&,
                 const optional_tensor&, std::int64_t, std::int64_t, std::int64_t, at::ScalarType);
  static const auto called = c10::Dispatcher::singleton().findSchemaOrThrow(name, "").template typed<signature>();
  optional_tensor nested_absmax;
  optional_tensor quant_map;
  optional_tensor offset;
  std::int64_t nested_block_size = 256;
  if (matrix.nested) {
    nested_absmax = matrix.nested->absmax;
    quant_map = matrix.nested->quant_map;
    offset = matrix.nested->offset;
    nested_block_size = matrix.nested->block_size;
  }
  return called.call(before..., matrix.codes, matrix.absmax, nested_absmax, quant_map, offset, matrix.shape[0],
                     matrix.block_size, nested_block_size, matrix.dtype);
}

}  // namespace

std::optional<at::Tensor> nf4_product(const at::Tensor& x, const nf4_matrix& matrix, const at::Tensor& bias) {
  const at::ScalarType used = x.scalar_type();
  const bool rounds_once =
      is_floating(used) && (used == matrix.dtype || used == at::kFloat || matrix.dtype == at::kFloat);
  const bool few = x.numel() <= most_rows * matrix.shape[1];
  if (!rounds_once || !few || needs_gradient(x) || needs_gradient(bias) ||
      !has_kernel_for(matrix, "kvtransfer::nf4_linear")) {
    return std::nullopt;
  }
  return call_operator("kvtransfer::nf4_linear", matrix, x, bias.defined() ? optional_tensor(bias) : std::nullopt);
}

std::optional<at::Tensor> nf4_values(const nf4_matrix& matrix) {
  if (!has_kernel_for(matrix, "kvtransfer::nf4_dequantize")) {
    return std::nullopt;
  }
  return call_operator("kvtransfer::nf4_dequantize", matrix);
}

}  // namespace kvtransfer::detail
