#include "corpus/document.hpp"

#include <string>
#include <string_view>

#include "support/test.hpp"

using namespace kvtransfer::corpus;

TEST_CASE("one seed gives one document", "[train_lab][corpus]") {
  dice one{19};
  dice same{19};
  dice other{20};
  const std::string text = training_document(one);
  CHECK(training_document(same) == text);
  CHECK(training_document(other) != text);
}

TEST_CASE("no training text holds a reserved name", "[train_lab][corpus]") {
  for (std::uint64_t index = 0; index < 20000; ++index) {
    dice throws{mixed_seed(21, index)};
    REQUIRE_FALSE(holds_reserved_name(training_document(throws)));
  }
}

TEST_CASE("a question that opens a text is never answered", "[train_lab][corpus]") {
  int opening_questions = 0;
  for (std::uint64_t index = 0; index < 5000; ++index) {
    dice throws{mixed_seed(22, index)};
    const std::string text = training_document(throws);
    const std::size_t stop = text.find_first_of(".?");
    if (text[stop] == '?') {
      ++opening_questions;
      CAPTURE(text);
      REQUIRE(std::string_view{text}.substr(stop + 2).starts_with(unknown_answer));
    }
  }
  CHECK(opening_questions > 500);
}

TEST_CASE("most texts end with an answer", "[train_lab][corpus]") {
  int answered = 0;
  for (std::uint64_t index = 0; index < 2000; ++index) {
    dice throws{mixed_seed(23, index)};
    const std::string text = training_document(throws);
    CHECK(text.back() == '.');
    answered += text.find('?') != std::string::npos;
  }
  CHECK(answered > 1300);
}
