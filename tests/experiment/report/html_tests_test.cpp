#include "experiment/report/html_tests.hpp"

#include "support/test.hpp"

using namespace kvtransfer;
using namespace kvtransfer::detail;

TEST_CASE("markers are highlighted wherever and in whatever case they occur", "[experiment][report]") {
  CHECK(html_marked("paris & PARIS", {"Paris"}) == "<mark>paris</mark> &amp; <mark>PARIS</mark>");
  CHECK(html_marked("<100>", {"100", "celsius"}) == "&lt;<mark>100</mark>&gt;");
  CHECK(html_marked("", {"x"}).empty());
  CHECK(html_marked("ab", {"b", "a"}) == "<mark>a</mark><mark>b</mark>");
}
