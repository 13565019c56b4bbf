#pragma once

#include <ATen/core/List.h>
#include <ATen/core/Tensor.h>

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

namespace kvtransfer::kernels {

using optional_tensors = c10::List<std::optional<at::Tensor>>;

/// `kvtransfer::nf4_linears` and `kvtransfer::nf4_gate`, which only a GPU has; nf4_linear.cpp describes them.
[[nodiscard]] std::vector<at::Tensor> nf4_linears_on_cuda(const at::Tensor& x, const optional_tensors& biases,
                                                          at::TensorList codes, at::TensorList absmax,
                                                          at::TensorList nested_absmax, at::TensorList quant_map,
                                                          at::TensorList offset, at::IntArrayRef out,
                                                          std::int64_t block_size, std::int64_t nested_block_size,
                                                          at::ScalarType dtype);
[[nodiscard]] at::Tensor nf4_gate_on_cuda(const at::Tensor& x, const optional_tensors& biases, at::TensorList codes,
                                          at::TensorList absmax, at::TensorList nested_absmax, at::TensorList quant_map,
                                          at::TensorList offset, at::IntArrayRef out, std::int64_t block_size,
                                          std::int64_t nested_block_size, at::ScalarType dtype, std::string_view name);

}  // namespace kvtransfer::kernels
