#include "experiment/report/html_style.hpp"

#include <algorithm>
#include <string_view>

#include "support/test.hpp"

using namespace kvtransfer;
using namespace kvtransfer::detail;

TEST_CASE("the style sheet closes what it opens and loads nothing", "[experiment][report]") {
  const std::string_view style = html_style;
  CHECK(std::count(style.begin(), style.end(), '{') == std::count(style.begin(), style.end(), '}'));
  CHECK(style.find("url(") == style.npos);
  CHECK(style.find("@import") == style.npos);
}
