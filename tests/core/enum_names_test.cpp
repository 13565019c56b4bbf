#include "kvtransfer/core/enum_names.hpp"

#include <array>
#include <cstdint>
#include <optional>
#include <stdexcept>
#include <string_view>

#include "support/test.hpp"

using namespace kvtransfer;

namespace {

enum class colour : std::uint8_t { red, green };

constexpr std::array<std::string_view, 2> colours{"red", "green"};

}  // namespace

TEST_CASE("the names of an enumeration lead there and back", "[core][enum_names]") {
  CHECK(name_of(colours, colour::green) == "green");
  CHECK(value_named<colour>(colours, "red") == colour::red);
  CHECK(value_named<colour>(colours, "green") == colour::green);
}

TEST_CASE("a name of no value and a value past the names are seen", "[core][enum_names]") {
  CHECK(value_named<colour>(colours, "blue") == std::nullopt);
  CHECK(value_named<colour>(colours, "") == std::nullopt);
  CHECK_THROWS_AS(name_of(colours, static_cast<colour>(2)), std::out_of_range);
}
