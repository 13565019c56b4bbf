#pragma once

#include <ATen/core/Tensor.h>

#include <filesystem>
#include <string>

#include "kvtransfer/model/config.hpp"
#include "kvtransfer/model/weights.hpp"

namespace kvtransfer {

/// A model ready to run: its configuration, its weights on one device, and the fingerprint that its caches carry.
struct causal_lm {
  model_config config;
  model_weights weights;
  std::string fingerprint;

  [[nodiscard]] at::Device device() const { return weights.embed_tokens.device(); }
  [[nodiscard]] at::ScalarType dtype() const { return weights.embed_tokens.scalar_type(); }

  /// Opens a folder in Hugging Face's layout, a GGUF file, or a folder that holds one GGUF file and no `config.json`.
  /// @throws file_error naming what is missing or malformed
  [[nodiscard]] static causal_lm open(const std::filesystem::path& path, at::Device device, at::ScalarType dtype);

  /// A model of weights at hand, with their fingerprint.
  [[nodiscard]] static causal_lm of(model_config config, model_weights weights);
};

}  // namespace kvtransfer
