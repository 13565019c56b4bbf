#include <fmt/format.h>

#include <cstddef>
#include <vector>

#include "experiment/suites/fact_templates.hpp"
#include "kvtransfer/experiment/suites.hpp"

namespace kvtransfer::suites {

suite modes() {
  constexpr int rounds = 3;
  constexpr const char* unknown = "I do not know.";
  constexpr const char* unknown_marker = "do not know";
  std::vector<detail::fact_template> wordings;
  for (const detail::fact_template& wording : detail::fact_templates) {
    if (!wording.beginning.empty()) {
      wordings.push_back(wording);
    }
  }
  suite made;
  made.name = "modes";
  made.description =
      "Questions about facts that no text told, behind a source in which such questions are answered all the same "
      "(confabulating) or with “I do not know.” (grounded). 54 questions of 18 templates.";
  detail::invention draws(3);
  for (int round = 1; round <= rounds; ++round) {
    for (std::size_t i = 0; i < wordings.size(); ++i) {
      // Two other templates, so that the target's wording is not one that its source answered.
      const detail::invented_fact first = detail::invent(wordings[(i + 5) % wordings.size()], draws);
      const detail::invented_fact second = detail::invent(wordings[(i + 11) % wordings.size()], draws);
      const detail::invented_fact asked = detail::invent(wordings[i], draws);
      test_case test;
      test.item = fmt::format("{}_{:02}", wordings[i].name, round);
      test.target = asked.question;
      test.group = wordings[i].name;
      for (const char* variant : {"confabulating", "grounded"}) {
        const bool answers = variant == std::string_view("confabulating");
        test.variant = variant;
        test.name = fmt::format("{}_{}", test.item, variant);
        test.source = fmt::format("{} {} {} {}", first.question, answers ? first.reply : unknown, second.question,
                                  answers ? second.reply : unknown);
        test.markers = {answers ? asked.beginning : unknown_marker};
        test.forbidden = {answers ? unknown_marker : asked.beginning};
        made.tests.push_back(test);
      }
    }
  }
  return made;
}

}  // namespace kvtransfer::suites
