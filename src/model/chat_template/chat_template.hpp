#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "syntax.hpp"

namespace kvtransfer::detail {

struct chat_message {
  std::string role;
  std::string content;
};

/// What a template reads besides its own text.
struct template_inputs {
  std::vector<chat_message> messages;
  std::string bos_token;            ///< empty where the model has none: then undefined, as in transformers
  std::string eos_token;            ///< likewise
  std::optional<std::string> date;  ///< what strftime_now gives, whatever format it is asked for; else undefined
};

/// A model's own chat template (Jinja), of which as much is read as such templates use.
///
/// Untrusted: work, memory and depth are bounded. What is not known is refused only where rendering comes upon it, so
/// that a template's branches for tools and images do no harm.
class chat_template {
 public:
  /// @throws template_error
  explicit chat_template(std::string_view source) : statements_(parse_template(source)) {}

  /// The text of the messages, with the prompt for the assistant's answer behind it.
  /// @throws template_refusal if the template raises an exception
  /// @throws template_error for what this reader does not have, and past its bounds
  /// Source: apply_chat_template(tokenize=False, add_generation_prompt=True) of transformers 5.
  [[nodiscard]] std::string render(const template_inputs& inputs) const;

 private:
  statement_list statements_;
};

}  // namespace kvtransfer::detail
