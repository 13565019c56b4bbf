#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace kvtransfer {

/// Where a chat format puts the system text.
enum class system_placement {
  own_turn,      ///< in front of the user's turn
  in_user_turn,  ///< inside of the user's turn, in front of the text: what formats without a system role do
  refused        ///< nowhere: the model's template knows no system text, or writes it in a way that is not known
};

/// What a chat format strips of white space at its ends, as Python's str.strip() does.
enum class user_strip {
  nothing,
  text,    ///< the user's text
  content  ///< what stands in the user's turn: where a system text leads it, only the end of the user's text
};

/// How a family of models writes one user turn and asks for the answer: text around text.
///
/// The turn is [BOS] before_system SYSTEM after_system before_user USER after_user assistant_prompt. A system text in
/// the user's turn stands behind before_user. Without a system text there is no system turn, whatever default a model's
/// own template would put there. BOS is a token, never part of a piece: see `begins_with_bos`.
struct chat_format {
  std::string name;                                         ///< as a command line gives it, unique in a registry
  std::string before_system;                                ///< opens the system text's turn
  std::string after_system;                                 ///< closes it
  std::string before_user;                                  ///< opens the user's turn
  std::string after_user;                                   ///< closes it
  std::string assistant_prompt;                             ///< opens the answer
  system_placement placement = system_placement::own_turn;  ///< where the system text goes
  user_strip user = user_strip::nothing;                    ///< what is stripped of the user's side
  bool strips_system = false;  ///< whether the system text loses the white space at its ends
  bool prints_bos = false;     ///< the template writes BOS itself
};

/// Whether a chat's ids begin with BOS: once, if the template prints it or the tokenizer adds it, never twice.
[[nodiscard]] inline bool begins_with_bos(const chat_format& format, bool tokenizer_adds_bos) {
  return format.prints_bos || tokenizer_adds_bos;
}

/// Whose a piece of a chat's text is.
enum class chat_part {
  format,  ///< the format's own pieces, and the system text
  source,  ///< the prompt that a transfer carries over
  /// the prompt that is answered
  target
};

/// A stretch of a chat's text, and whether special tokens may be read from it.
///
/// Segments that follow one another are one text to the tokenizer ("[INST] " and "Who" give the ids of "[INST] Who"):
/// only a special token must lie wholly in one segment of markup. So what a prompt says never becomes one.
struct chat_segment {
  std::string text;  ///< as it stands in the chat
  bool is_markup;    ///< whether special tokens may be read from it
  chat_part part;    ///< whose it is

  friend bool operator==(const chat_segment&, const chat_segment&) = default;
};

/// The segments' text in a row.
[[nodiscard]] std::string text_of(const std::vector<chat_segment>& segments);

/// Renders one user turn and the prompt for its answer.
/// @param system empty: no system text
/// @throws value_error if a system text is given and the format refuses it, or if a text is empty once it is stripped
/// Source: apply_chat_template(tokenize=False, add_generation_prompt=True) of transformers 5 on the model's template,
/// without a default system turn.
[[nodiscard]] std::vector<chat_segment> render_chat(const chat_format& format, std::string_view system,
                                                    std::string_view user);

/// A user turn "SOURCE TARGET", cut behind the source and its separator. The halves are to be encoded apart, the tail as
/// the continuation of a text: no BOS, and no space that the tokenizer would put in front of a text.
struct split_chat {
  std::vector<chat_segment> head;  ///< the system text, the turn's begin, SOURCE, the separator
  std::vector<chat_segment> tail;  ///< TARGET, the turn's end, the prompt for the answer

  /// What stands in front of the source: with the tail behind it, the chat whose user says TARGET alone.
  [[nodiscard]] std::vector<chat_segment> opening() const;
};

/// What stands between source and target. It comes and goes with the source, so that a target without one is read as
/// in a chat of its own.
inline constexpr std::string_view source_separator = " ";

/// As `render_chat` of "SOURCE TARGET"; the texts of head and tail in a row are its text.
/// @throws value_error as `render_chat`, and if the source or the target is empty once it is stripped
[[nodiscard]] split_chat render_split_chat(const chat_format& format, std::string_view system, std::string_view source,
                                           std::string_view target);

}  // namespace kvtransfer
