#pragma once

#include <nlohmann/json.hpp>

#include "gguf_architecture.hpp"
#include "gguf_hyperparameters.hpp"
#include "kvtransfer/model/weights/gguf_file.hpp"

namespace kvtransfer::detail {

/// Adds what decides on the rotation: `rope_theta`, `rope_scaling`, `partial_rotary_factor`, ….
/// @param config has `head_dim` and `max_position_embeddings`
/// @throws file_error
void add_rope(nlohmann::json& config, const gguf_architecture& architecture, gguf_hyperparameters& keys,
              const gguf_file& file);

}  // namespace kvtransfer::detail
