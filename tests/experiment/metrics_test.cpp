#include "kvtransfer/experiment/metrics.hpp"

#include <string>
#include <vector>

#include "support/test.hpp"

using namespace kvtransfer;

using token_list = std::vector<std::int64_t>;

TEST_CASE("a whole word has no letter or digit beside it", "[experiment][metrics]") {
  const auto found = [](const char* text, const char* marker) {
    const std::vector<std::string> markers{marker};
    return !markers_found(text, markers, marker_match::whole_words).empty();
  };
  CHECK(found("red", "red"));
  CHECK(found("It is RED.", "red"));
  CHECK(found("(red)", "red"));
  CHECK(found("Lyra's boat", "Lyra"));
  CHECK(found("100°C", "100"));
  CHECK(found("colored, red", "red"));
  CHECK_FALSE(found("colored", "red"));
  CHECK_FALSE(found("redder", "red"));
  CHECK_FALSE(found("1000", "100"));
  CHECK_FALSE(found("éred", "red"));
  CHECK_FALSE(found("redé", "red"));
  CHECK_FALSE(found("red_1", "red"));
  CHECK(found("\xFFred\xFF", "red"));
  CHECK(found("the red one", "red one"));
}

TEST_CASE("a test's markers and forbidden markers are found as the test has them matched", "[experiment][metrics]") {
  test_case test;
  test.markers = {"red"};
  test.forbidden = {"blue"};
  CHECK(markers_found("colored", test) == std::vector<std::string>{"red"});
  CHECK(forbidden_found("bluest", test) == std::vector<std::string>{"blue"});
  test.whole_words = true;
  CHECK(markers_found("colored", test).empty());
  CHECK(forbidden_found("bluest", test).empty());
}

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
  CHECK(first_divergence(token_list{1, 2, 3}, token_list{1, 2, 3}) == std::nullopt);
  CHECK(first_divergence(token_list{}, token_list{}) == std::nullopt);
  CHECK(first_divergence(token_list{1, 2, 3}, token_list{1, 5, 3}) == divergence{1, 2, 5});
  CHECK(first_divergence(token_list{1, 2}, token_list{1, 2, 3}) == divergence{2, std::nullopt, 3});
  CHECK(first_divergence(token_list{1, 2, 3}, token_list{1, 2}) == divergence{2, 3, std::nullopt});
}
