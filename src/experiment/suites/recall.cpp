#include <fmt/format.h>

#include "experiment/suites/fact_templates.hpp"
#include "kvtransfer/experiment/suites.hpp"

namespace kvtransfer::suites {

suite recall() {
  constexpr int rounds = 20;
  suite made;
  made.name = "recall";
  made.description =
      "Invented facts: the source tells one, the target asks for it. 400 tests of 20 templates, which come in turn.";
  detail::invention draws(1);
  for (int round = 1; round <= rounds; ++round) {
    for (const detail::fact_template& wording : detail::fact_templates) {
      detail::invented_fact told = detail::invent(wording, draws);
      test_case test;
      test.name = fmt::format("{}_{:02}", wording.name, round);
      test.source = std::move(told.statement);
      test.target = std::move(told.question);
      test.markers = {std::move(told.answer)};
      test.foils = {std::move(told.foil)};
      test.group = wording.name;
      test.whole_words = true;
      made.tests.push_back(std::move(test));
    }
  }
  return made;
}

}  // namespace kvtransfer::suites
