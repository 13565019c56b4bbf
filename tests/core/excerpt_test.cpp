#include "kvtransfer/core/excerpt.hpp"

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "support/test.hpp"

using namespace kvtransfer;

TEST_CASE("an excerpt is one short line of plain characters", "[core][excerpt]") {
  CHECK(excerpt("a\nb") == R"("a\nb")");
  CHECK(excerpt(std::string_view("\xff\x1b[2J")) == R"("\ufffd\u001b[2J")");
  CHECK(excerpt(std::string(1000, 'x')).size() == 83);
  CHECK(excerpt(std::vector<std::int64_t>{2, 3}) == "[2,3]");
}
