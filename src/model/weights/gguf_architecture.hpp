#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "kvtransfer/model/weights/gguf_metadata.hpp"

namespace kvtransfer::detail {

/// Which of a layer's projections may have a bias.
enum class gguf_biases : std::uint8_t { none, queries_keys_values, attention, everywhere };

/// What an architecture's GGUF files have that their metadata does not say.
struct gguf_architecture {
  std::string_view name;          ///< `general.architecture`
  std::string_view model_type;    ///< in a config.json
  std::string_view architecture;  ///< likewise
  gguf_biases biases = gguf_biases::none;
  bool permutes_heads = false;  ///< rows of Q and K are stored in interleaved pairs
  bool is_gemma = false;        ///< four norms a layer, stored with 1 added
  bool norms_heads = false;     ///< Q and K have norms
  bool fuses_projections = false;
};

/// The file's architecture. @throws file_error for one that is not known, naming those that are
[[nodiscard]] const gguf_architecture& find_gguf_architecture(const gguf_metadata& metadata);

/// The name that transformers gives a tensor: blk.3.attn_q.weight becomes model.layers.3.self_attn.q_proj.weight.
/// @return nothing for a tensor that such a model does not have
[[nodiscard]] std::optional<std::string> transformers_name(const gguf_architecture& architecture,
                                                           std::string_view tensor, std::int64_t layers);

/// Whether a tensor describes the rotation, which the configuration takes in, and is no weight.
[[nodiscard]] bool is_rope_factors(const gguf_architecture& architecture, std::string_view tensor);

}  // namespace kvtransfer::detail
