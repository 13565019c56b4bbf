#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "kvtransfer/model/chat_format.hpp"

namespace kvtransfer {

/// The texts of a model's special tokens that templates print; empty for one that the model does not have.
struct special_token_texts {
  std::string bos;  ///< beginning of text
  std::string eos;  ///< end of text
};

/// The chat formats that a program knows. A program adds its own and passes the registry on.
///
/// A piece of a registered format may hold "{{ eos_token }}", for which `find` and `recognize` put the model's.
class chat_format_registry {
 public:
  /// The library's own: chatml, chatml-think, chatml-no-think, zephyr, llama2, llama3, llama3.1, mistral-v1,
  /// mistral-v1-spaced, mistral-v3, mistral-tekken, mistral-v7, mistral-v7-tekken, gemma2, gemma3, phi3, phi4,
  /// phi4-mini.
  [[nodiscard]] static chat_format_registry standard();

  /// @throws value_error if the name is taken
  void add(chat_format format);

  /// All names, in the order in which they were added.
  [[nodiscard]] std::vector<std::string> names() const;

  /// The format of a name, for a model with these special tokens.
  /// @throws value_error for an unknown name, listing the known ones, and for a format that prints a token which the
  /// model does not have
  [[nodiscard]] chat_format find(std::string_view name, const special_token_texts& tokens) const;

  /// The format that a model's own chat template has: the first one that says what the template says.
  ///
  /// The template is run on a handful of texts with and without a system text, white space at their ends and all, and
  /// the format must give the same: so what a template strips, and whether it prints BOS, comes from the template, and
  /// a template with any word of its own is not taken for another. A default system turn of the template is left out.
  /// Where the template has no system text, or one that no format has, the result refuses one. The date that some
  /// templates print is the one they name themselves; one that can print none but today's is refused.
  /// @param file named in errors
  /// @throws file_error for a template of another format, or one that can't be run: the known names, and why
  [[nodiscard]] chat_format recognize(std::string_view chat_template, const special_token_texts& tokens,
                                      std::string_view file) const;

 private:
  std::vector<chat_format> formats_;
};

}  // namespace kvtransfer
