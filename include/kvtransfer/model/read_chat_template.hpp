#pragma once

#include <filesystem>
#include <optional>
#include <string>

namespace kvtransfer {

/// A model's own chat template, and the file that it stands in.
struct model_chat_template {
  std::string text;  ///< Jinja, as it stands there
  std::string file;  ///< for messages
};

/// The chat template of a model's folder or GGUF file: of a GGUF file `tokenizer.chat_template`, of a folder
/// `chat_template.jinja`, else `chat_template` of `tokenizer_config.json`, where a list of named templates gives the
/// one named "default". Nothing where the folder has none.
/// @throws file_error for a file that is malformed, and for named templates without a default
/// Source: PreTrainedTokenizerBase.from_pretrained and get_chat_template of transformers 5.
[[nodiscard]] std::optional<model_chat_template> read_chat_template(const std::filesystem::path& path);

}  // namespace kvtransfer
