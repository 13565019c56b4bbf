#include "experiment/report/svg_sequence.hpp"

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
