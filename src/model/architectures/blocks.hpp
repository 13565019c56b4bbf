#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "kvtransfer/model/config.hpp"
#include "model/json_fields.hpp"

namespace kvtransfer::detail {

/// The activation under `key`. @throws file_error for one that is not known
[[nodiscard]] gate_activation read_activation(const json_fields& fields, std::string_view key,
                                              std::string_view otherwise);

/// `attention_bias` on queries, keys, values and the output alike; none where there is no such key.
void set_attention_bias(const json_fields& fields, model_config& config);

/// Biases and activation as Llama has them: `attention_bias`, `mlp_bias`, `hidden_act`.
void set_llama_blocks(const json_fields& fields, model_config& config);

/// The scale 1/√scalar on every layer, with the scalar under `key`.
void set_scale(const json_fields& fields, std::string_view key, double otherwise, model_config& config);

/// A window as Mistral has it: `sliding_window` on every layer, a null for none.
/// @param otherwise where there is no such key
void set_window_everywhere(const json_fields& fields, std::optional<std::int64_t> otherwise, model_config& config);

/// `window` on the layers that `types` calls sliding_attention, none on those it calls full_attention.
/// @throws file_error for another type, another number of layers, or sliding layers without a window
void set_windows(const json_fields& fields, const std::vector<std::string>& types, std::optional<std::int64_t> window,
                 model_config& config);

/// `layer_types` as the file lists them; empty where it does not.
[[nodiscard]] std::vector<std::string> listed_layer_types(const json_fields& fields);

/// `full_attention` on every `period`-th layer, `sliding_attention` on the others.
[[nodiscard]] std::vector<std::string> alternating_layer_types(std::int64_t layers, std::int64_t period);

/// A window as Qwen has it: `use_sliding_window` switches it on, for the layers that `layer_types` lists or else from
/// `max_window_layers` on.
void set_windows_from_layer(const json_fields& fields, std::int64_t first_without_key, model_config& config);

/// What Gemma 2 and 3 have in common: biases, activation, four norms stored minus 1, the scale of scores and of
/// embeddings.
void set_gemma_blocks(const json_fields& fields, model_config& config);

/// `sliding_window` on the layers that `layer_types` lists, or on all but every `period`-th.
void set_gemma_windows(const json_fields& fields, std::int64_t period, model_config& config);

/// Refuses `key` unless it is missing, null or `only`.
void require_only(const json_fields& fields, std::string_view key, const nlohmann::json& only);

}  // namespace kvtransfer::detail
