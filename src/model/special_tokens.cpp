#include "model/special_tokens.hpp"

#include <sentencepiece_processor.h>

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <system_error>

#include "kvtransfer/core/json_file.hpp"
#include "model/json_fields.hpp"

namespace kvtransfer::detail {

namespace {

/// An optional file of a model's folder: an empty object where it is missing.
nlohmann::json read_if_there(const std::filesystem::path& path) {
  std::error_code ignored;
  return std::filesystem::exists(path, ignored) ? read_json_object(path) : nlohmann::json::object();
}

/// A token's text: `tokenizer_config.json` writes it plain or as an object with `content`.
std::string token_text(const json_fields& fields, std::string_view key) {
  const nlohmann::json& token = *fields.find(key);
  const nlohmann::json& text = token.is_object() && token.contains("content") ? token["content"] : token;
  if (!text.is_string()) {
    fields.refuse(key, "a token's text");
  }
  return text.get<std::string>();
}

/// The id of a token's text: a piece of the model, or one that the file adds under `added_tokens_decoder`.
std::int64_t token_id(const json_fields& fields, std::string_view key,
                      const sentencepiece::SentencePieceProcessor& model) {
  const std::string text = token_text(fields, key);
  const int id = model.PieceToId(text);
  if (id >= 0 && id < model.GetPieceSize() && model.IdToPiece(id) == text) {
    return id;
  }
  const nlohmann::json* found = fields.find("added_tokens_decoder");
  const nlohmann::json added = found == nullptr ? nlohmann::json::object() : *found;
  for (const auto& [added_id, token] : added.items()) {
    const bool digits =
        !added_id.empty() && added_id.size() < 10 && added_id.find_first_not_of("0123456789") == added_id.npos;
    if (digits && token.is_object() && token.contains("content") && token["content"] == text) {
      return std::stoll(added_id);
    }
  }
  fields.refuse(key, "a piece of tokenizer.model or of added_tokens_decoder");
}

}  // namespace

special_tokens read_special_tokens(const std::filesystem::path& folder,
                                   const sentencepiece::SentencePieceProcessor& model) {
  const auto tokenizer_file = folder / "tokenizer_config.json";
  const auto config_file = folder / "config.json";
  const nlohmann::json tokenizer_content = read_if_there(tokenizer_file);
  const nlohmann::json config_content = read_if_there(config_file);
  const json_fields from_tokenizer(tokenizer_content, tokenizer_file.string());
  const json_fields from_config(config_content, config_file.string());

  const auto ids = [&](std::string_view token_key, std::string_view id_key, int model_id) -> std::vector<std::int64_t> {
    if (from_tokenizer.has(token_key)) {
      return {token_id(from_tokenizer, token_key, model)};
    }
    if (from_tokenizer.present(token_key)) {
      return {};
    }
    if (from_config.present(id_key)) {
      return from_config.token_ids(id_key);
    }
    return model_id < 0 ? std::vector<std::int64_t>{} : std::vector<std::int64_t>{model_id};
  };
  special_tokens special;
  if (const auto bos = ids("bos_token", "bos_token_id", model.bos_id()); !bos.empty()) {
    special.bos = bos.front();
  }
  special.eos = ids("eos_token", "eos_token_id", model.eos_id());
  return special;
}

}  // namespace kvtransfer::detail
