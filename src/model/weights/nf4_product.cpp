#include "model/weights/nf4_product.hpp"

#include <ATen/core/dispatch/Dispatcher.h>

#include <bit>
#include <cstdint>

#include "kernels/linear/nf4_product.hpp"
#include "kvtransfer/tensor/kernel_table.hpp"
#include "model/fused_blocks.hpp"
#include "model/needs_gradient.hpp"
#include "model/step_kernels.hpp"

namespace kvtransfer::detail {

namespace {

/// Rows of x up to which codes are multiplied: beyond, bringing the matrix back is paid for.
std::int64_t most_rows(at::Device device) { return device.is_cuda() ? kernels::nf4_rows_a_pass : 16; }

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

namespace {

/// Whether the kernels multiply these.
bool is_multiplied(const at::Tensor& x, const nf4_matrix& matrix, const at::Tensor& bias, const char* name) {
  const at::ScalarType used = x.scalar_type();
  const bool rounds_once =
      is_floating(used) && (used == matrix.dtype || used == at::kFloat || matrix.dtype == at::kFloat);
  const bool few = x.numel() <= most_rows(x.device()) * matrix.shape[1];
  return rounds_once && few && !needs_gradient(x) && !needs_gradient(bias) && has_kernel_for(matrix, name);
}

optional_tensor given(const at::Tensor& bias) { return bias.defined() ? optional_tensor(bias) : std::nullopt; }

/// What the operators for several matrices take of them.
struct matrix_lists {
  c10::List<optional_tensor> biases;
  std::vector<at::Tensor> codes;
  std::vector<at::Tensor> absmax;
  std::vector<at::Tensor> nested_absmax;
  std::vector<at::Tensor> quant_map;
  std::vector<at::Tensor> offset;
  std::vector<std::int64_t> out;
};

/// Nothing where the matrices are not of one kind, or kernels for them are not wanted.
std::optional<matrix_lists> listed(const at::Tensor& x, const std::vector<const nf4_matrix*>& matrices,
                                   const std::vector<at::Tensor>& biases, const char* name) {
  if (!wants_gpu_kernels()) {
    return std::nullopt;
  }
  const nf4_matrix& first = *matrices.front();
  matrix_lists lists;
  for (std::size_t i = 0; i < matrices.size(); ++i) {
    const nf4_matrix& each = *matrices[i];
    const bool alike = each.shape[1] == first.shape[1] && each.dtype == first.dtype &&
                       each.block_size == first.block_size && each.nested.has_value() == first.nested.has_value() &&
                       (!each.nested || each.nested->block_size == first.nested->block_size);
    if (!alike || !is_multiplied(x, each, biases[i], name)) {
      return std::nullopt;
    }
    lists.biases.push_back(given(biases[i]));
    lists.codes.push_back(each.codes);
    lists.absmax.push_back(each.absmax);
    lists.out.push_back(each.shape[0]);
    if (each.nested) {
      lists.nested_absmax.push_back(each.nested->absmax);
      lists.quant_map.push_back(each.nested->quant_map);
      lists.offset.push_back(each.nested->offset);
    }
  }
  return lists;
}

/// The operator of that name, called with lists of matrices.
template <class Result, class... Behind>
Result call_with_lists(const char* name, const at::Tensor& x, const nf4_matrix& first, const matrix_lists& lists,
                       const Behind&... behind) {
  using signature =
      Result(const at::Tensor&, const c10::List<optional_tensor>&, at::TensorList, at::TensorList, at::TensorList,
             at::TensorList, at::TensorList, at::IntArrayRef, std::int64_t, std::int64_t, at::ScalarType, Behind...);
  static const auto called = c10::Dispatcher::singleton().findSchemaOrThrow(name, "").template typed<signature>();
  return called.call(x, lists.biases, lists.codes, lists.absmax, lists.nested_absmax, lists.quant_map, lists.offset,
                     lists.out, first.block_size, first.nested ? first.nested->block_size : 256, first.dtype,
                     behind...);
}

}  // namespace

std::optional<at::Tensor> nf4_product(const at::Tensor& x, const nf4_matrix& matrix, const at::Tensor& bias) {
  if (std::optional<std::vector<at::Tensor>> products = nf4_products(x, {&matrix}, {bias})) {
    return std::move(products->front());  // by the kernel that begins while the one before it ends
  }
  if (!is_multiplied(x, matrix, bias, "kvtransfer::nf4_linear")) {
    return std::nullopt;
  }
  return call_operator("kvtransfer::nf4_linear", matrix, x, given(bias));
}

std::optional<std::vector<at::Tensor>> nf4_products(const at::Tensor& x, const std::vector<const nf4_matrix*>& matrices,
                                                    const std::vector<at::Tensor>& biases) {
  const std::optional<matrix_lists> lists = listed(x, matrices, biases, "kvtransfer::nf4_linears");
  if (!lists) {
    return std::nullopt;
  }
  return call_with_lists<std::vector<at::Tensor>>("kvtransfer::nf4_linears", x, *matrices.front(), *lists);
}

std::optional<at::Tensor> nf4_gate(const at::Tensor& x, const nf4_matrix& gate, const nf4_matrix& up,
                                   const at::Tensor& gate_bias, const at::Tensor& up_bias, gate_activation activation) {
  const std::optional<matrix_lists> lists = listed(x, {&gate, &up}, {gate_bias, up_bias}, "kvtransfer::nf4_gate");
  if (!lists) {
    return std::nullopt;
  }
  return call_with_lists<at::Tensor>("kvtransfer::nf4_gate", x, gate, *lists, name_of(activation));
}

std::optional<at::Tensor> nf4_values(const nf4_matrix& matrix) {
  if (!has_kernel_for(matrix, "kvtransfer::nf4_dequantize")) {
    return std::nullopt;
  }
  return call_operator("kvtransfer::nf4_dequantize", matrix);
}

}  // namespace kvtransfer::detail
