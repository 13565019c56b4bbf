#include "kvtransfer/model/config.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <iterator>
#include <nlohmann/json.hpp>
#include <string_view>
#include <system_error>
#include <vector>

#include "kvtransfer/core/alike.hpp"
#include "kvtransfer/core/error.hpp"
#include "kvtransfer/core/json_file.hpp"
#include "kvtransfer/model/config_json.hpp"
#include "kvtransfer/rope/rotary_embedding.hpp"
#include "model/architectures/architecture.hpp"
#include "model/json_fields.hpp"

namespace kvtransfer {

namespace {

/// Beyond any model, and small enough that a hostile file costs no memory to speak of.
constexpr std::int64_t most_layers = 10'000;
constexpr std::int64_t widest_head = 65'536;  ///< elements

/// Keys that decide on nothing that a forward pass computes: what made the file, how it was trained, how
/// text is to be generated from it. Source: transformers, PreTrainedConfig and the files that its versions wrote.
constexpr std::string_view inert_keys[] = {"attn_implementation",
                                           "auto_map",
                                           "bad_words_ids",
                                           "begin_suppress_tokens",
                                           "cache_implementation",
                                           "chunk_size_feed_forward",
                                           "decoder_start_token_id",
                                           "diversity_penalty",
                                           "do_sample",
                                           "dtype",
                                           "early_stopping",
                                           "encoder_no_repeat_ngram_size",
                                           "exponential_decay_length_penalty",
                                           "finetuning_task",
                                           "forced_bos_token_id",
                                           "forced_eos_token_id",
                                           "gradient_checkpointing",
                                           "id2label",
                                           "initializer_range",
                                           "is_llama_config",
                                           "label2id",
                                           "length_penalty",
                                           "max_length",
                                           "min_length",
                                           "model_max_length",
                                           "name_or_path",
                                           "neftune_noise_alpha",
                                           "no_repeat_ngram_size",
                                           "num_beam_groups",
                                           "num_beams",
                                           "num_labels",
                                           "num_return_sequences",
                                           "output_attentions",
                                           "output_hidden_states",
                                           "output_scores",
                                           "pad_token_id",
                                           "prefix",
                                           "pretraining_tp",
                                           "problem_type",
                                           "pruned_heads",
                                           "remove_invalid_values",
                                           "repetition_penalty",
                                           "return_dict",
                                           "return_dict_in_generate",
                                           "sep_token_id",
                                           "suppress_tokens",
                                           "task_specific_params",
                                           "temperature",
                                           "tokenizer_class",
                                           "top_k",
                                           "top_p",
                                           "torch_dtype",
                                           "torchscript",
                                           "transformers.js_config",
                                           "transformers_version",
                                           "typical_p",
                                           "unk_token_id",
                                           "unsloth_fixed",
                                           "unsloth_version",
                                           "use_bfloat16",
                                           "use_cache",
                                           "use_flash_attention"};

/// What a key that nobody asked for may be without a doubt: one of the inert, a rate of dropout, something private to
/// whoever wrote the file, or one that is off.
bool is_inert(std::string_view key, const nlohmann::json& value) {
  const bool off = value.is_null() || value == false || (value.is_structured() && value.empty());
  return off || key.starts_with('_') || key.ends_with("dropout") || key.ends_with("_pdrop") ||
         std::ranges::find(inert_keys, key) != std::end(inert_keys);
}

/// A key that this architecture's code does not know may stand for something that it does not compute.
void refuse_unknown_keys(const detail::json_fields& fields, const nlohmann::json& json, std::string_view architecture) {
  for (const std::string& key : fields.unread()) {
    if (!is_inert(key, json[key])) {
      fields.refuse(key, fmt::format("only keys whose meaning for {} is known", architecture));
    }
  }
}

void read_heads(const detail::json_fields& fields, const detail::config_defaults& defaults, model_config& config) {
  config.q_heads = fields.size("num_attention_heads", defaults.q_heads);
  const bool named = fields.present("num_key_value_heads");
  config.kv_heads =
      fields.size("num_key_value_heads", named ? config.q_heads : defaults.kv_heads.value_or(config.q_heads));
  if (config.q_heads % config.kv_heads != 0) {
    fields.refuse("num_key_value_heads", fmt::format("a divisor of num_attention_heads = {}", config.q_heads));
  }
  const bool derived = !fields.has("head_dim") && (!defaults.head_dim || fields.present("head_dim"));
  if (derived && config.hidden_size % config.q_heads != 0) {
    fields.refuse("num_attention_heads", fmt::format("a divisor of hidden_size = {}", config.hidden_size));
  }
  config.head_dim =
      fields.size("head_dim", derived ? config.hidden_size / config.q_heads : defaults.head_dim, widest_head);
  if (config.head_dim % 2 != 0) {
    fields.refuse("head_dim", fmt::format("an even number, not {}", config.head_dim));
  }
}

/// transformers reads a missing BOS as that of the architecture's first model, but a null as "none"; which tokens end a
/// generation it reads from the file alone.
void read_special_tokens(const detail::json_fields& fields, const detail::config_defaults& defaults,
                         model_config& config) {
  const auto bos = fields.token_ids("bos_token_id");
  config.bos_token_id = fields.present("bos_token_id") ? std::nullopt : defaults.bos_token_id;
  if (!bos.empty()) {
    config.bos_token_id = bos.front();
  }
  config.eos_token_ids = fields.token_ids("eos_token_id");
}

/// The keys that decide on the rotation, with the sizes found. Other keys, which may mean something in other
/// architectures, mean nothing in this one.
nlohmann::json rotary_keys(const detail::json_fields& fields, const detail::architecture& known,
                           const model_config& config) {
  nlohmann::json keys = {{"model_type", known.model_type},
                         {"num_hidden_layers", config.layers},
                         {"head_dim", config.head_dim},
                         {"max_position_embeddings", config.max_position_embeddings}};
  std::vector<std::string_view> read = {"rope_theta", "rope_scaling", "rope_parameters", "partial_rotary_factor",
                                        "original_max_position_embeddings"};
  read.insert(read.end(), known.rotary_keys.begin(), known.rotary_keys.end());
  for (const std::string_view key : read) {
    if (const nlohmann::json* value = fields.find(key)) {
      keys[std::string(key)] = *value;
    }
  }
  return keys;
}

/// The rope folder knows nothing of files: its complaints get the file's name here.
std::vector<rotary_embedding> read_rotary(const nlohmann::json& keys, const model_config& config,
                                          const std::string& file) {
  try {
    auto rotary = rotary_embeddings_from_config(keys);
    for (const rotary_embedding& layer : rotary) {
      if (const std::int64_t width = layer.at(1).rotary_dim(); width > config.head_dim) {
        fail<file_error>(file, "rotary width", fmt::format("at most head_dim = {}", config.head_dim),
                         fmt::format("{}", width));
      }
    }
    return rotary;
  } catch (const file_error&) {
    throw;
  } catch (const error& bad) {
    throw file_error(fmt::format("{}: {}", file, bad.what()));
  }
}

/// How far one layer's rotary type reaches in a model of `trained` positions; nothing: as far as asked.
std::optional<std::int64_t> stretched_length(const rotary_embedding& embedding, std::int64_t trained) {
  if (!embedding.rotates() || embedding.rope_type() == "dynamic") {
    return std::nullopt;
  }
  const rope::type_parameters& parameters = embedding.parameters();
  double length = static_cast<double>(trained);
  if (embedding.rope_type() == "linear") {
    length *= parameters.positive("factor");
  } else if (embedding.rope_type() == "yarn" && parameters.has("factor")) {
    length = std::max(length, parameters.original_length() * parameters.positive("factor"));
  }
  constexpr double most = 9e18;  // fits 64 bits
  return static_cast<std::int64_t>(std::clamp(length, static_cast<double>(trained), most));
}

}  // namespace

model_config::model_config() = default;
model_config::model_config(const model_config&) = default;
model_config::model_config(model_config&&) noexcept = default;
model_config& model_config::operator=(const model_config&) = default;
model_config& model_config::operator=(model_config&&) noexcept = default;
model_config::~model_config() = default;

namespace {

/// Weights may lie in bitsandbytes' NF4; what else a quantization could mean is refused. Which matrices lie so, their
/// files say.
/// @return what their products are computed in; empty where nothing is quantized. Source: transformers,
/// BitsAndBytesConfig, which takes a missing type for float32
std::string read_quantization(const detail::json_fields& fields) {
  const nlohmann::json* stated = fields.find("quantization_config");
  if (stated == nullptr) {
    return {};
  }
  const auto says = [&](const char* key, const nlohmann::json& value) {
    return stated->contains(key) && (*stated)[key] == value;
  };
  const bool bitsandbytes = stated->is_object() && says("quant_method", "bitsandbytes") &&
                            (says("load_in_4bit", true) || says("_load_in_4bit", true)) &&
                            !says("load_in_8bit", true) && says("bnb_4bit_quant_type", "nf4");
  if (!bitsandbytes) {
    fields.refuse("quantization_config", "a model that is not quantized, or bitsandbytes in 4 bits of type nf4");
  }
  const auto compute = stated->find("bnb_4bit_compute_dtype");
  if (compute == stated->end() || compute->is_null()) {
    return "float32";
  }
  if (*compute != "float32" && *compute != "float16" && *compute != "bfloat16") {
    fields.refuse("quantization_config", "a bnb_4bit_compute_dtype of float32, float16 or bfloat16");
  }
  return compute->get<std::string>();
}

/// The configuration of a decoder, all of whose keys are understood.
model_config read_decoder(const nlohmann::json& json, const detail::architecture_registry::entry& known,
                          const detail::json_fields& fields) {
  const detail::config_defaults& defaults = known.make.defaults;
  model_config config;
  config.architecture = known.name;
  config.layers = fields.size("num_hidden_layers", {}, most_layers);
  config.hidden_size = fields.size("hidden_size");
  config.intermediate_size = fields.size("intermediate_size");
  config.vocab_size = fields.size("vocab_size", defaults.vocab_size);
  read_heads(fields, defaults, config);
  config.max_position_embeddings = fields.size("max_position_embeddings", defaults.max_position_embeddings);
  config.rms_norm_eps = fields.positive_number("rms_norm_eps", defaults.rms_norm_eps);
  config.tie_word_embeddings = fields.boolean("tie_word_embeddings", defaults.tie_word_embeddings);
  read_special_tokens(fields, defaults, config);
  config.rotary = read_rotary(rotary_keys(fields, known.make, config), config, fields.file());
  config.attention.assign(static_cast<std::size_t>(config.layers),
                          {.scale = 1 / std::sqrt(static_cast<double>(config.head_dim))});
  known.make.choose_blocks(fields, config);
  config.nf4_compute_dtype = read_quantization(fields);
  (void)fields.find("architectures");
  (void)fields.find("model_type");
  refuse_unknown_keys(fields, json, known.name);
  config.raw = json.dump();
  return config;
}

/// The text part of a model that also sees images, as a decoder of its own. What the whole says of the tokens that end
/// a text counts for its part.
nlohmann::json text_part(const detail::json_fields& whole, std::string_view architecture, std::string_view model_type) {
  const nlohmann::json* stated = whole.find("text_config");
  if (stated == nullptr || !stated->is_object()) {
    whole.refuse("text_config", "an object");
  }
  nlohmann::json text = *stated;
  for (const char* key : {"bos_token_id", "eos_token_id"}) {
    if (const nlohmann::json* ids = whole.find(key)) {
      text[key] = *ids;
    }
  }
  for (const char* key : {"quantization_config", "torch_dtype", "dtype"}) {
    if (const nlohmann::json* value = whole.find(key); value != nullptr && !text.contains(key)) {
      text[key] = *value;
    }
  }
  const nlohmann::json* tied = whole.find("tie_word_embeddings");
  text["tie_word_embeddings"] = tied == nullptr ? nlohmann::json(true) : *tied;  // the part's own is not read
  text["architectures"] = nlohmann::json::array({architecture});
  text["model_type"] = model_type;
  return text;
}

}  // namespace

model_config model_config_from_json(const nlohmann::json& json, const std::string& file) {
  if (!json.is_object()) {
    fail<file_error>(file, "JSON", "an object", json.type_name());
  }
  const detail::architecture_registry& known = detail::standard_architectures();
  const detail::json_fields fields(json, file);
  const detail::architecture_registry::entry& named = detail::find_architecture(known, fields);
  if (named.make.text_architecture.empty()) {
    return read_decoder(json, named, fields);
  }
  const std::string_view text_name = named.make.text_architecture;
  const detail::architecture& part = known.at(text_name);
  const nlohmann::json text = text_part(fields, text_name, part.model_type);
  return read_decoder(text, {std::string(text_name), part}, {text, file + ": text_config"});
}

model_config read_model_config(const std::filesystem::path& folder_or_file) {
  std::error_code ignored;
  const bool folder = std::filesystem::is_directory(folder_or_file, ignored);
  const auto file = folder ? folder_or_file / "config.json" : folder_or_file;
  model_config config = model_config_from_json(read_json_object(file), file.string());
  const auto generation = file.parent_path() / "generation_config.json";
  if (std::filesystem::exists(generation, ignored)) {
    const nlohmann::json content = read_json_object(generation);
    config.eos_token_ids = detail::json_fields(content, generation.string()).token_ids("eos_token_id");
  }
  return config;
}

std::optional<std::int64_t> position_limit(const model_config& config) {
  std::optional<std::int64_t> limit;
  for (const rotary_embedding& embedding : config.rotary) {
    const std::optional<std::int64_t> own = stretched_length(embedding, config.max_position_embeddings);
    limit = limit && own ? std::min(*limit, *own) : (limit ? limit : own);
  }
  return limit;
}

std::vector<rotary_specification> rotary_specifications(const model_config& config, std::int64_t length) {
  const auto rotate_alike = [&](std::size_t a, std::size_t b) {
    return config.rotary[a].computes_as(config.rotary[b]);
  };
  return make_for_alike(config.rotary.size(), rotate_alike,
                        [&](std::size_t layer) { return config.rotary[layer].at(length); });
}

}  // namespace kvtransfer
