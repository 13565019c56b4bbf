#include "kvtransfer/model/causal_lm.hpp"

#include <utility>

#include "model/fingerprint.hpp"

namespace kvtransfer {

causal_lm causal_lm::open(const std::filesystem::path& folder, at::Device device, at::ScalarType dtype) {
  model_config config = read_model_config(folder);
  model_weights weights = load_weights(folder, config, device, dtype);
  return of(std::move(config), std::move(weights));
}

causal_lm causal_lm::of(model_config config, model_weights weights) {
  std::string fingerprint = detail::model_fingerprint(config, weights);
  return {std::move(config), std::move(weights), std::move(fingerprint)};
}

}  // namespace kvtransfer
