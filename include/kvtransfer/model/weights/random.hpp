#pragma once

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/randn.h>

#include <cstdint>
#include <string>
#include <vector>

#include "kvtransfer/model/config.hpp"
#include "kvtransfer/model/weights/parameters.hpp"

namespace kvtransfer {

/// Normally distributed weights, for training from nothing and for tests: mean 0, or 1 for the norms.
///
/// A model whose `standard_deviation` is the usual 0.02 hardly uses positions; tests of positions want 0.1 or more.
/// @param standard_deviation of the matrices and biases; norms get none of it
/// @return fp32 on the CPU, the same for the same seed
inline model_weights random_weights(const model_config& config, std::uint64_t seed, double standard_deviation) {
  at::Generator generator = at::make_generator<at::CPUGeneratorImpl>(seed);
  return make_weights(config, [&](const std::string& name, const std::vector<std::int64_t>& shape) {
    const bool scale = name.ends_with("norm.weight");
    return scale ? at::ones(shape, at::kFloat) : at::randn(shape, generator, at::kFloat).mul_(standard_deviation);
  });
}

}  // namespace kvtransfer
