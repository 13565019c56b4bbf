#include "kvtransfer/experiment/statistics/by_prompt.hpp"

#include <limits>

#include "kvtransfer/core/error.hpp"
#include "support/test.hpp"

using namespace kvtransfer;
using statistics::observation;
using statistics::pair_by_prompt;

TEST_CASE("seeds are averaged within their prompt, and prompts paired by name", "[experiment][statistics]") {
  const std::vector<observation> a{{"x", 1}, {"y", 0}, {"x", 0}, {"x", 1}, {"x", 1}, {"y", 1}};
  const std::vector<observation> b{{"y", 4}, {"x", 2}};
  const statistics::paired_values paired = pair_by_prompt(a, b);
  CHECK(paired.prompts == std::vector<std::string>{"x", "y"});
  CHECK(paired.a == std::vector<double>{0.75, 0.5});
  CHECK(paired.b == std::vector<double>{2, 4});
}

TEST_CASE("a prompt that only one condition has pairs with nothing", "[experiment][statistics]") {
  const std::vector<observation> both{{"x", 1}, {"y", 0}};
  const std::vector<observation> one{{"x", 1}};
  const std::vector<observation> unknown{{"x", std::numeric_limits<double>::quiet_NaN()}, {"y", 1}};
  CHECK_THROWS_WITH(pair_by_prompt(both, one), "pair_by_prompt: b: expected prompt 'y', as the other has it, got none");
  CHECK_THROWS_WITH(pair_by_prompt(one, both), "pair_by_prompt: a: expected prompt 'y', as the other has it, got none");
  CHECK_THROWS_AS(pair_by_prompt({}, both), shape_error);
  CHECK_THROWS_AS(pair_by_prompt(both, unknown), value_error);
}

TEST_CASE("templates are numbered as they appear, and a prompt without one is refused", "[experiment][statistics]") {
  const std::vector<std::string> prompts{"capital of X", "river of X", "capital of Y"};
  std::map<std::string, std::string> template_of{
      {"capital of X", "capital"}, {"river of X", "river"}, {"capital of Y", "capital"}, {"unused", "other"}};
  CHECK(statistics::number_clusters(prompts, template_of) == std::vector<std::int64_t>{0, 1, 0});
  template_of.erase("river of X");
  CHECK_THROWS_WITH(statistics::number_clusters(prompts, template_of),
                    "number_clusters: prompt 'river of X': expected a known template, got none");
}
