#include "kvtransfer/experiment/metrics.hpp"

#include <string>
#include <vector>

#include "support/test.hpp"

using namespace kvtransfer;

using tokens = std::vector<std::int64_t>;

TEST_CASE("markers are found in any case, in their own order and spelling", "[experiment][metrics]") {
  const std::vector<std::string> markers = {"100", "celsius", "Zürich"};
  CHECK(markers_found("At 100 degrees CELSIUS.", markers) == std::vector<std::string>{"100", "celsius"});
  CHECK(markers_found("zürich", markers) == std::vector<std::string>{"Zürich"});
  CHECK(markers_found("1 00", markers).empty());
  CHECK(markers_found("", markers).empty());
}

TEST_CASE("a generation is stalled when EOS is among its first three tokens", "[experiment][metrics]") {
  CHECK(is_stalled(true, 0));
  CHECK(is_stalled(true, 2));
  CHECK_FALSE(is_stalled(true, 3));
  CHECK_FALSE(is_stalled(false, 0));
}

TEST_CASE("the first divergence is the first token that differs, or an earlier end", "[experiment][metrics]") {
  CHECK(first_divergence(tokens{1, 2, 3}, tokens{1, 2, 3}) == std::nullopt);
  CHECK(first_divergence(tokens{}, tokens{}) == std::nullopt);
  CHECK(first_divergence(tokens{1, 2, 3}, tokens{1, 5, 3}) == divergence{1, 2, 5});
  CHECK(first_divergence(tokens{1, 2}, tokens{1, 2, 3}) == divergence{2, std::nullopt, 3});
  CHECK(first_divergence(tokens{1, 2, 3}, tokens{1, 2}) == divergence{2, 3, std::nullopt});
}
