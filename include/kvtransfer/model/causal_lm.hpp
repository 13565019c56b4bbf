#pragma once

#include <ATen/core/Tensor.h>

#include <filesystem>
#include <memory>
#include <string>
#include <utility>

#include "kvtransfer/model/config.hpp"
#include "kvtransfer/model/fingerprint.hpp"
#include "kvtransfer/model/weights.hpp"

namespace kvtransfer {

/// A model ready to run: its configuration, its weights on one device, and the fingerprint that its caches carry.
struct causal_lm {
  model_config config;
  model_weights weights;
  std::string fingerprint;

  at::Device device() const { return weights.embed_tokens.device(); }
  at::ScalarType dtype() const { return weights.embed_tokens.scalar_type(); }

  /// Opens a Hugging Face folder as it is. @throws file_error naming what is missing or malformed
  static causal_lm open(const std::filesystem::path& folder, at::Device device, at::ScalarType dtype) {
    model_config config = read_model_config(folder);
    model_weights weights = load_weights(folder, config, device, dtype);
    return of(std::move(config), std::move(weights));
  }

  static causal_lm of(model_config config, model_weights weights) {
    std::string fingerprint = model_fingerprint(config, weights);
    return {std::move(config), std::move(weights), std::move(fingerprint)};
  }
};

}  // namespace kvtransfer
