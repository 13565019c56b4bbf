#pragma once

#include <algorithm>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "corpus/dice.hpp"
#include "corpus/fact.hpp"

namespace kvtransfer::corpus {

/// A text in the making: sentences joined by single spaces, and what they have told so far.
///
/// Its answers follow three rules, in this order:
/// 1. what the text has told is answered from the text, true or not;
/// 2. a true fact is answered from memory, unless the question opens the text;
/// 3. anything else is answered with "I do not know."
/// A question that opens a text is thus never answered: nothing says yet which world the text is about.
class conversation {
 public:
  explicit conversation(dice& throws) : throws_(throws) {}

  const std::string& text() const { return text_; }
  const std::vector<fact>& told() const { return told_; }

  /// Whether a fact of this topic has been told.
  bool has_told(const std::string& topic) const {
    return std::any_of(told_.begin(), told_.end(), [&](const fact& earlier) { return earlier.topic == topic; });
  }

  /// States the fact, unless its topic was already told.
  void tell(fact news) {
    if (!has_told(news.topic)) {
      say(news.statement);
      told_.push_back(std::move(news));
    }
  }

  /// Says a sentence that tells nothing.
  void remark(std::string_view sentence) { say(sentence); }

  /// Asks for something told before, and answers it.
  void ask_told(const fact& earlier) { exchange(earlier.question, earlier.answer); }

  /// Asks for an invented fact that was not told, if its topic wasn't.
  void ask_untold(const fact& unheard) {
    if (!has_told(unheard.topic)) {
      exchange(unheard.question, unknown_answer);
    }
  }

  /// Asks for a true fact; the text may have told another version.
  void ask_remembered(const fact& known) {
    const auto version =
        std::find_if(told_.begin(), told_.end(), [&](const fact& earlier) { return earlier.topic == known.topic; });
    if (version != told_.end()) {
      ask_told(*version);
    } else {
      exchange(known.question, text_.empty() ? unknown_answer : known.answer);
    }
  }

  dice& throws() { return throws_; }

 private:
  void say(std::string_view sentence) {
    text_ += text_.empty() ? "" : " ";
    text_ += sentence;
  }

  void exchange(std::string_view question, std::string_view answer) {
    say(question);
    say(answer);
  }

  dice& throws_;
  std::string text_;
  std::vector<fact> told_;
};

}  // namespace kvtransfer::corpus
