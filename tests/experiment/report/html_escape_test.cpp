#include "experiment/report/html_escape.hpp"

#include "support/test.hpp"

using namespace kvtransfer;
using namespace kvtransfer::detail;

TEST_CASE("markup, control characters and bytes that are no text are made harmless", "[experiment][report]") {
  CHECK(html_escape("<b a='1' c=\"2\">&") == "&lt;b a=&#39;1&#39; c=&quot;2&quot;&gt;&amp;");
  CHECK(html_escape("Zürich\n\t") == "Zürich\n\t");
  CHECK(html_escape(std::string("a\0b\x1b", 4)) == "a\uFFFDb\uFFFD");
  CHECK(html_escape("a\xFF\xC3") == "a\uFFFD\uFFFD");
}
