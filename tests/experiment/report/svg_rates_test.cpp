#include "experiment/report/svg_rates.hpp"

#include "support/test.hpp"

using namespace kvtransfer;
using namespace kvtransfer::detail;

TEST_CASE("a rate has an interval only where its trials are draws", "[experiment][report]") {
  CHECK(svg_rates({{"a", {1, 4}, true}}).find("class=\"range\"") != std::string::npos);
  CHECK(svg_rates({{"a", {1, 4}, false}}).find("class=\"range\"") == std::string::npos);
  CHECK(svg_rates({{"a&b", {1, 4}, false}}).find("a&amp;b") != std::string::npos);
  CHECK(svg_rates({{"a", {1, 4}, true}}).find(">1/4</text>") != std::string::npos);
}
