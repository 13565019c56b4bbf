#include <ATen/CPUGeneratorImpl.h>
#include <ATen/ops/full.h>
#include <ATen/ops/randn.h>

#include "kvtransfer/model/weights.hpp"

namespace kvtransfer {

model_weights random_weights(const model_config& config, std::uint64_t seed, double standard_deviation) {
  at::Generator generator = at::make_generator<at::CPUGeneratorImpl>(seed);
  return make_weights(config, [&](const std::string& name, const std::vector<std::int64_t>& shape) {
    const bool scale = name.ends_with("norm.weight");
    return scale ? at::full(shape, config.norms_add_one ? 0 : 1, at::kFloat)
                 : at::randn(shape, generator, at::kFloat).mul_(standard_deviation);
  });
}

}  // namespace kvtransfer
