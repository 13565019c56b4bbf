#pragma once

#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

namespace kvtransfer::test {

/// How far gradients of `loss_of(inputs)` are from central differences, relative to the largest gradient of that input;
/// at most 40 elements of each are tried.
/// @param loss_of from tensors of the inputs' shapes to a number; the same for the same inputs
/// @param inputs float64
template <class Loss>
double worst_gradient_error(Loss&& loss_of, const std::vector<at::Tensor>& inputs) {
  std::vector<at::Tensor> leaves;
  for (const at::Tensor& input : inputs) {
    leaves.push_back(input.detach().clone().requires_grad_(true));
  }
  loss_of(leaves).backward();
  double worst = 0;
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    const at::Tensor gradient = leaves[i].grad();
    if (!gradient.defined()) {
      return 1;  // the loss does not depend on it, or the gradient was lost
    }
    const double scale = gradient.abs().max().item<double>();
    const std::int64_t stride = std::max<std::int64_t>(1, inputs[i].numel() / 40);
    for (std::int64_t element = 0; element < inputs[i].numel(); element += stride) {
      constexpr double step = 1e-5;
      const auto at_distance = [&](double distance) {
        std::vector<at::Tensor> changed;
        for (const at::Tensor& input : inputs) {
          changed.push_back(input.detach().clone());
        }
        changed[i].view({-1})[element] += distance;
        return loss_of(changed).template item<double>();
      };
      const double slope = (at_distance(step) - at_distance(-step)) / (2 * step);
      worst = std::max(worst, std::abs(slope - gradient.reshape({-1})[element].template item<double>()) / scale);
    }
  }
  return worst;
}

}  // namespace kvtransfer::test
