#include "experiment/report/svg_sequence.hpp"

#include <string>

#include "support/test.hpp"

using namespace kvtransfer;
using namespace kvtransfer::detail;

TEST_CASE("cached parts are filled and fed ones pale", "[experiment][report]") {
  const std::string svg = svg_sequences({{"a<b", {{token_role::source, 30, true}, {token_role::target, 10, false}}}});
  CHECK(svg.find(R"(class="source")") != std::string::npos);
  CHECK(svg.find(R"(class="target fed")") != std::string::npos);
  CHECK(svg.find("cached source: 30 tokens") != std::string::npos);
  CHECK(svg.find("a&lt;b") != std::string::npos);
  CHECK(svg.find(">40</text>") != std::string::npos);
}

TEST_CASE("no sequence at all is a plot without strips", "[experiment][report]") {
  CHECK(svg_sequences({}).find("rect") == std::string::npos);
}

TEST_CASE("strips begin behind the longest name", "[experiment][report]") {
  const std::string name = "transfer+without-layers:3:zero.values+restart";
  const std::string svg = svg_sequences({{name, {{token_role::source, 30, true}}}, {"a", {}}});
  const std::string before = R"(<rect class="source" x=")";
  REQUIRE(svg.find(before) != std::string::npos);
  CHECK(std::stod(svg.substr(svg.find(before) + before.size())) > 7.0 * static_cast<double>(name.size()));
}
