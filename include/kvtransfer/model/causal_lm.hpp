#pragma once

#include <ATen/core/Tensor.h>

#include <filesystem>
#include <memory>
#include <string>

#include "kvtransfer/cache/model_identity.hpp"
#include "kvtransfer/model/config.hpp"
#include "kvtransfer/model/weights.hpp"

namespace kvtransfer {

/// What a model was when its identity was taken; see `causal_lm::changed`.
class model_snapshot;

/// A model ready to run: its configuration, its weights on one device, and the identity that its caches carry.
struct causal_lm {
  model_config config;      ///< sizes, rotary embeddings, special tokens
  model_weights weights;    ///< all on one device, in one type
  model_identity identity;  ///< tells models apart, by everything that could change a number
  /// How the matrices of the layers are kept, or were before they were brought back: "none", "nf4", or a type of a GGUF
  /// file, "Q4_1".
  std::string quantization = "none";
  /// What `identity` was taken of; null for a model that somebody has put together, who answers for its identity.
  std::shared_ptr<const model_snapshot> identified = {};

  /// What is no longer as it was when `identity` was taken: the name of a weight that was replaced or written to in
  /// place, or "config"; empty where nothing is. Such a model is none that its identity names: what it writes is of
  /// unknown origin, and it reads no other's caches. `of` makes a model of it that has an identity of its own.
  [[nodiscard]] std::string changed() const;

  /// The one on which all weights lie.
  [[nodiscard]] at::Device device() const { return weights.embed_tokens.device(); }
  /// The weights' type.
  [[nodiscard]] at::ScalarType dtype() const { return weights.embed_tokens.scalar_type(); }

  /// Opens a folder in Hugging Face's layout, a GGUF file, or a folder that holds one GGUF file and no `config.json`.
  /// @throws file_error naming what is missing or malformed; value_error for a quantization of what is quantized
  /// already
  /// @param quantize what the layers' matrices are quantized to, one after the other
  [[nodiscard]] static causal_lm open(const std::filesystem::path& path, at::Device device, at::ScalarType dtype,
                                      weight_quantization quantize = weight_quantization::none);

  /// A model of weights at hand. Its digest is that of a file which stores just them, in the types that they have; of a
  /// tokenizer it knows nothing.
  [[nodiscard]] static causal_lm of(model_config config, model_weights weights);
};

}  // namespace kvtransfer
