#pragma once

#include <ATen/core/List.h>
#include <ATen/core/Tensor.h>

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "kernels/linear/dense_product.hpp"

namespace kvtransfer::kernels {

/// Products of the same rows with several matrices; few_rows_linear.cpp describes each.
struct joint_tensors {
  at::Tensor rows;  // x as [rows, in], contiguous
  std::vector<at::Tensor> weights;
  std::vector<std::optional<at::Tensor>> biases;
  std::vector<std::int64_t> shape;  // of x, whose last axis becomes each matrix's `out`
};

/// @throws shape_error, value_error, device_error where x, weights and biases do not fit one another
[[nodiscard]] joint_tensors checked_few_rows(const at::Tensor& x, const std::vector<at::Tensor>& weights,
                                             const std::vector<std::optional<at::Tensor>>& biases);

/// The result's shape for a matrix of `out` rows.
[[nodiscard]] std::vector<std::int64_t> shape_of_product(const joint_tensors& joint, std::int64_t out);

/// @throws shape_error unless a gate and what it multiplies are two of one shape
void require_gate(const std::vector<std::int64_t>& outs, const char* where);

using optional_tensors = c10::List<std::optional<at::Tensor>>;

/// The operators on a GPU.
[[nodiscard]] at::Tensor few_rows_linear_on_cuda(const at::Tensor& x, const at::Tensor& weight,
                                                 const std::optional<at::Tensor>& bias);
[[nodiscard]] std::vector<at::Tensor> few_rows_linears_on_cuda(const at::Tensor& x, at::TensorList weights,
                                                               const optional_tensors& biases);
[[nodiscard]] at::Tensor few_rows_gate_on_cuda(const at::Tensor& x, const at::Tensor& gate, const at::Tensor& up,
                                               const optional_tensors& biases, std::string_view name);

}  // namespace kvtransfer::kernels
