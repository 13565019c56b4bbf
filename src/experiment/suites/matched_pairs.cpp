#include <fmt/format.h>

#include "experiment/suites/fact_templates.hpp"
#include "kvtransfer/experiment/suites.hpp"

namespace kvtransfer::suites {

suite matched_pairs() {
  constexpr int rounds = 5;
  suite made;
  made.name = "matched_pairs";
  made.description =
      "Invented facts, each asked for by a question and by the beginning of a sentence, equally long in the lab "
      "model's "
      "tokens. 90 facts of 18 templates.";
  detail::invention draws(2);
  for (int round = 1; round <= rounds; ++round) {
    for (const detail::fact_template& wording : detail::fact_templates) {
      if (wording.beginning.empty()) {
        continue;
      }
      const detail::invented_fact told = detail::invent(wording, draws);
      test_case test;
      test.item = fmt::format("{}_{:02}", wording.name, round);
      test.source = told.statement;
      test.markers = {told.answer};
      test.foils = {told.foil};
      test.group = wording.name;
      test.whole_words = true;
      for (const char* variant : {"question", "completion"}) {
        const bool asks = variant == std::string_view("question");
        test.variant = variant;
        test.name = fmt::format("{}_{}", test.item, variant);
        test.target = asks ? told.question : fmt::format("{} {}", wording.lengthening, told.beginning);
        made.tests.push_back(test);
      }
    }
  }
  return made;
}

}  // namespace kvtransfer::suites
