#include "kvtransfer/model/config.hpp"

#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <string_view>
#include <system_error>

#include "kvtransfer/core/error.hpp"
#include "kvtransfer/core/json_file.hpp"
#include "kvtransfer/model/config_json.hpp"
#include "kvtransfer/rope/rotary_embedding.hpp"
#include "model/json_fields.hpp"

namespace kvtransfer {

namespace {

/// Beyond any model, and small enough that a hostile file costs no memory to speak of.
constexpr std::int64_t most_layers = 10'000;
constexpr std::int64_t widest_head = 65'536;  ///< elements

/// Values of keys that a file leaves out. Source: LlamaConfig and MistralConfig of transformers 5.
struct architecture_defaults {
  std::string_view architecture;
  std::string_view model_type;
  std::optional<std::int64_t> kv_heads;  ///< none: as many as query heads
  std::int64_t max_position_embeddings;
  std::optional<std::int64_t> sliding_window;
};

constexpr architecture_defaults supported_architectures[] = {
    {"LlamaForCausalLM", "llama", std::nullopt, 2048, std::nullopt},
    {"MistralForCausalLM", "mistral", 8, 131072, 4096},
};

/// The entry that the file names, by `architectures` or, where that is missing, by `model_type`.
const architecture_defaults& find_architecture(const detail::json_fields& fields) {
  constexpr std::string_view supported = "LlamaForCausalLM (llama) or MistralForCausalLM (mistral)";
  const nlohmann::json* named = fields.find("architectures");
  const std::string model_type = fields.string("model_type", "");
  for (const architecture_defaults& known : supported_architectures) {
    const bool by_architecture = named != nullptr && *named == nlohmann::json::array({known.architecture});
    const bool by_type = model_type == known.model_type;
    if ((by_architecture && (by_type || model_type.empty())) || (by_type && named == nullptr)) {
      return known;
    }
  }
  fields.refuse(named != nullptr ? "architectures" : "model_type", supported);
}

/// A window that never bites computes what no window does; any other is refused.
void refuse_sliding_window(const detail::json_fields& fields, const architecture_defaults& known,
                           std::int64_t max_positions) {
  if (!known.sliding_window) {
    return;
  }
  const bool off = fields.present("sliding_window") && !fields.has("sliding_window");
  if (!off && fields.size("sliding_window", known.sliding_window) < max_positions) {
    fields.refuse("sliding_window", fmt::format("null, or at least max_position_embeddings = {}", max_positions));
  }
}

void refuse_other_arithmetic(const detail::json_fields& fields) {
  const std::string activation = fields.string("hidden_act", "silu");
  if (activation != "silu" && activation != "swish") {
    fields.refuse("hidden_act", "\"silu\"");
  }
  if (fields.has("quantization_config")) {
    fields.refuse("quantization_config", "a model that is not quantized");
  }
}

void read_heads(const detail::json_fields& fields, const architecture_defaults& known, model_config& config) {
  config.q_heads = fields.size("num_attention_heads");
  const bool named = fields.present("num_key_value_heads");
  config.kv_heads =
      fields.size("num_key_value_heads", named ? config.q_heads : known.kv_heads.value_or(config.q_heads));
  if (config.q_heads % config.kv_heads != 0) {
    fields.refuse("num_key_value_heads", fmt::format("a divisor of num_attention_heads = {}", config.q_heads));
  }
  if (!fields.has("head_dim") && config.hidden_size % config.q_heads != 0) {
    fields.refuse("num_attention_heads", fmt::format("a divisor of hidden_size = {}", config.hidden_size));
  }
  config.head_dim = fields.size("head_dim", config.hidden_size / config.q_heads, widest_head);
  if (config.head_dim % 2 != 0) {
    fields.refuse("head_dim", fmt::format("an even number, not {}", config.head_dim));
  }
}

/// transformers reads a missing key as 1 and 2, Llama's ids, but a null as "none".
void read_special_tokens(const detail::json_fields& fields, model_config& config) {
  const auto bos = fields.token_ids("bos_token_id");
  config.bos_token_id = fields.present("bos_token_id") ? std::nullopt : std::optional<std::int64_t>(1);
  if (!bos.empty()) {
    config.bos_token_id = bos.front();
  }
  config.eos_token_ids =
      fields.present("eos_token_id") ? fields.token_ids("eos_token_id") : std::vector<std::int64_t>{2};
}

/// The keys that decide on these architectures' rotation, with the sizes found. Other keys, which may mean something in
/// other architectures, mean nothing in these.
nlohmann::json rotary_keys(const nlohmann::json& json, const architecture_defaults& known, const model_config& config) {
  nlohmann::json keys = {{"model_type", known.model_type},
                         {"num_hidden_layers", config.layers},
                         {"head_dim", config.head_dim},
                         {"max_position_embeddings", config.max_position_embeddings}};
  for (const char* key :
       {"rope_theta", "rope_scaling", "rope_parameters", "partial_rotary_factor", "original_max_position_embeddings"}) {
    if (json.contains(key)) {
      keys[key] = json[key];
    }
  }
  return keys;
}

/// The rope folder knows nothing of files: its complaints get the file's name here.
std::vector<rotary_embedding> read_rotary(const nlohmann::json& keys, const model_config& config,
                                          const std::string& file) {
  try {
    auto rotary = rotary_embeddings_from_config(keys);
    const std::int64_t width = rotary.at(0).at(1).rotary_dim();
    if (width != config.head_dim) {
      fail<file_error>(file, "rotary width", fmt::format("head_dim = {}", config.head_dim), fmt::format("{}", width));
    }
    return rotary;
  } catch (const file_error&) {
    throw;
  } catch (const error& bad) {
    throw file_error(fmt::format("{}: {}", file, bad.what()));
  }
}

}  // namespace

model_config::model_config() = default;
model_config::model_config(const model_config&) = default;
model_config::model_config(model_config&&) noexcept = default;
model_config& model_config::operator=(const model_config&) = default;
model_config& model_config::operator=(model_config&&) noexcept = default;
model_config::~model_config() = default;

model_config model_config_from_json(const nlohmann::json& json, const std::string& file) {
  if (!json.is_object()) {
    fail<file_error>(file, "JSON", "an object", json.type_name());
  }
  const detail::json_fields fields(json, file);
  const architecture_defaults& known = find_architecture(fields);
  model_config config;
  config.architecture = known.architecture;
  config.layers = fields.size("num_hidden_layers", {}, most_layers);
  config.hidden_size = fields.size("hidden_size");
  config.intermediate_size = fields.size("intermediate_size");
  config.vocab_size = fields.size("vocab_size");
  read_heads(fields, known, config);
  config.max_position_embeddings = fields.size("max_position_embeddings", known.max_position_embeddings);
  config.rms_norm_eps = fields.positive_number("rms_norm_eps", 1e-6);
  config.tie_word_embeddings = fields.boolean("tie_word_embeddings", false);
  const bool llama = known.model_type == "llama";
  config.attention_bias = llama && fields.boolean("attention_bias", false);
  config.mlp_bias = llama && fields.boolean("mlp_bias", false);
  refuse_sliding_window(fields, known, config.max_position_embeddings);
  refuse_other_arithmetic(fields);
  read_special_tokens(fields, config);
  config.rotary = read_rotary(rotary_keys(json, known, config), config, file);
  config.raw = json.dump();
  return config;
}

model_config read_model_config(const std::filesystem::path& folder_or_file) {
  std::error_code ignored;
  const bool folder = std::filesystem::is_directory(folder_or_file, ignored);
  const auto file = folder ? folder_or_file / "config.json" : folder_or_file;
  model_config config = model_config_from_json(read_json_object(file), file.string());
  const auto generation = file.parent_path() / "generation_config.json";
  if (std::filesystem::exists(generation, ignored)) {
    const nlohmann::json content = read_json_object(generation);
    if (const auto ids = detail::json_fields(content, generation.string()).token_ids("eos_token_id"); !ids.empty()) {
      config.eos_token_ids = ids;
    }
  }
  return config;
}

std::vector<rotary_specification> rotary_specifications(const model_config& config, std::int64_t length) {
  std::vector<rotary_specification> specifications;
  specifications.reserve(config.rotary.size());
  for (const rotary_embedding& embedding : config.rotary) {
    specifications.push_back(embedding.at(length));
  }
  return specifications;
}

}  // namespace kvtransfer
