#pragma once

#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/_foreach_add.h>
#include <ATen/ops/_foreach_mul.h>
#include <ATen/ops/_foreach_norm.h>
#include <ATen/ops/_fused_adamw.h>
#include <ATen/ops/linalg_vector_norm.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/zeros.h>
#include <ATen/ops/zeros_like.h>

#include <cmath>
#include <cstdint>
#include <numbers>
#include <string>
#include <utility>
#include <vector>

#include "settings.hpp"

namespace kvtransfer::train_lab {

/// The learning rate of a step: a straight rise to the peak, then half a cosine down to zero.
/// @param step from 0
inline double learning_rate(const recipe& plan, std::int64_t step) {
  if (step < plan.warm_up) {
    return plan.peak_learning_rate * static_cast<double>(step + 1) / static_cast<double>(plan.warm_up);
  }
  const double done = static_cast<double>(step - plan.warm_up) / static_cast<double>(plan.steps - plan.warm_up);
  return plan.peak_learning_rate * 0.5 * (1.0 + std::cos(std::numbers::pi * done));
}

/// Parameters with both moments of their gradients.
///
/// Source: Loshchilov and Hutter, "Decoupled weight decay regularization" (2019), as ATen computes it. Vectors (norms
/// and biases) don't decay.
class adamw {
 public:
  /// @param parameters by name; they require gradients from now on
  explicit adamw(const std::vector<std::pair<std::string, at::Tensor>>& parameters, double second_decay = 0.95)
      : second_decay_(second_decay) {
    for (const auto& [name, parameter] : parameters) {
      group& mine = parameter.dim() > 1 ? matrices_ : vectors_;
      mine.names.push_back(name);
      mine.parameters.push_back(parameter.set_requires_grad(true));
      mine.first_moments.push_back(at::zeros_like(parameter.detach()));
      mine.second_moments.push_back(at::zeros_like(parameter.detach()));
      mine.steps.push_back(at::zeros({}, parameter.options().dtype(at::kFloat).requires_grad(false)));
    }
  }

  /// Scales all gradients so that their common norm is at most `largest`. @return [] their norm before that
  at::Tensor clip_gradients(double largest) {
    std::vector<at::Tensor> gradients = gradients_of(matrices_);
    const std::vector<at::Tensor> others = gradients_of(vectors_);
    gradients.insert(gradients.end(), others.begin(), others.end());
    const at::Tensor norm = at::linalg_vector_norm(at::stack(at::_foreach_norm(gradients)));
    constexpr double tiny = 1e-6;
    at::_foreach_mul_(gradients, (largest / (norm + tiny)).clamp_max(1.0));
    return norm;
  }

  /// One step down the gradients, which are dropped.
  void step(double rate, double weight_decay) {
    update(matrices_, rate, weight_decay);
    update(vectors_, rate, 0.0);
  }

  /// Calls `visit(name, tensor)` for everything that a resumed run needs: parameters, moments, counts.
  template <class Visitor>
  void for_each_state(Visitor visit) {
    for (group* mine : {&matrices_, &vectors_}) {
      for (std::size_t index = 0; index < mine->names.size(); ++index) {
        visit("parameter." + mine->names[index], mine->parameters[index]);
        visit("first_moment." + mine->names[index], mine->first_moments[index]);
        visit("second_moment." + mine->names[index], mine->second_moments[index]);
        visit("steps." + mine->names[index], mine->steps[index]);
      }
    }
  }

 private:
  struct group {
    std::vector<std::string> names;
    std::vector<at::Tensor> parameters, first_moments, second_moments, steps;
  };

  static std::vector<at::Tensor> gradients_of(const group& mine) {
    std::vector<at::Tensor> gradients;
    for (const at::Tensor& parameter : mine.parameters) {
      gradients.push_back(parameter.grad());
    }
    return gradients;
  }

  void update(group& mine, double rate, double weight_decay) const {
    constexpr double first_decay = 0.9;
    constexpr double epsilon = 1e-8;
    const std::vector<at::Tensor> gradients = gradients_of(mine);
    std::vector<at::Tensor> parameters;
    for (const at::Tensor& parameter : mine.parameters) {
      parameters.push_back(parameter.detach());
    }
    at::_foreach_add_(mine.steps, 1);
    at::_fused_adamw_(parameters, gradients, mine.first_moments, mine.second_moments, {}, mine.steps, rate, first_decay,
                      second_decay_, weight_decay, epsilon, /*amsgrad=*/false, /*maximize=*/false);
    for (at::Tensor& parameter : mine.parameters) {
      parameter.mutable_grad().reset();
    }
  }

  double second_decay_;
  group matrices_;
  group vectors_;
};

}  // namespace kvtransfer::train_lab
