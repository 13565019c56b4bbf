#include "experiment/report/svg_agreement.hpp"

#include <limits>
#include <string>
#include <string_view>

#include "experiment/sample_results.hpp"
#include "support/test.hpp"

using namespace kvtransfer;
using namespace kvtransfer::detail;
using namespace kvtransfer::test;

namespace {

std::int64_t times(const std::string& text, std::string_view part) {
  std::int64_t count = 0;
  for (std::size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) {
    ++count;
  }
  return count;
}

}  // namespace

TEST_CASE("bars change colour at the first difference", "[experiment][report]") {
  const trial_record reference = sample_results().tests[0].conditions[0].trials[0];
  CHECK(times(svg_agreement(reference, reference, 4), "equal-bar") == 4);
  trial_record other = reference;
  other.token_ids[1] = 9;
  const std::string svg = svg_agreement(other, reference, 4);
  CHECK(times(svg, "equal-bar") == 1);
  CHECK(times(svg, "other-bar") == 3);
}

TEST_CASE("margins that are no numbers are drawn as none", "[experiment][report]") {
  trial_record reference = sample_results().tests[0].conditions[0].trials[0];
  reference.top2_margins[0] = std::numeric_limits<double>::quiet_NaN();
  reference.top2_margins[1] = std::numeric_limits<double>::infinity();
  const std::string svg = svg_agreement(reference, reference, 4);
  CHECK(svg.find("nan") == std::string::npos);
  CHECK(svg.find("inf") == std::string::npos);
}
