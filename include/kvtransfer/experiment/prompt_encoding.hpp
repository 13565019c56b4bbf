#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include "kvtransfer/experiment/prompt_ids.hpp"
#include "kvtransfer/experiment/suite.hpp"
#include "kvtransfer/model/chat_format.hpp"
#include "kvtransfer/model/chat_format_registry.hpp"
#include "kvtransfer/model/tokenizers/any_tokenizer.hpp"

namespace kvtransfer {

struct run_settings;

/// How a test's prompts become tokens.
struct prompt_encoding {
  any_tokenizer tokens;                  ///< the model's own
  std::optional<chat_format> chat = {};  ///< nothing: the prompts are raw text
  std::string system = {};               ///< in chat form; empty: no system turn
};

/// What a run's `prompt_form` and `system` mean for its model. The form is `raw`, `chat` (the format is recognized from
/// the model's own template) or `chat:NAME`.
/// @param model the model's folder or GGUF file
/// @throws value_error for another form, an unknown name, and a system text that would not be used; file_error for a
/// model without a template, or with one that is not known
[[nodiscard]] prompt_encoding open_prompt_encoding(const std::filesystem::path& model, const run_settings& settings,
                                                   const chat_format_registry& known);

/// Encodes a test's prompts. Raw prompts are encoded each by itself. In chat form source and target share one user turn
/// "SOURCE TARGET", which is cut behind the source and its space: the halves are encoded apart, so that a text in two
/// halves has the ids of its halves. A token that holds something of both format and prompt counts as the prompt's. A
/// test that names its form (`prompt_form`) is encoded in that one.
/// @throws value_error if a prompt has no tokens, the test is a chat's and there is no chat format, or the format
/// refuses the system text
[[nodiscard]] prompt_ids encode_prompts(const prompt_encoding& encoding, const test_case& test);

}  // namespace kvtransfer
