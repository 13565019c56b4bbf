#include "kvtransfer/rope/type_parameters.hpp"

#include <limits>
#include <nlohmann/json.hpp>

#include "support/test.hpp"

namespace kvtransfer::test {
namespace {

rope::type_parameters with(nlohmann::json values) { return {std::move(values), 64, 2048}; }

}  // namespace

TEST_CASE("parameters read as the numbers they are", "[rope][type_parameters]") {
  const rope::type_parameters parameters =
      with({{"rope_theta", 10000}, {"partial_rotary_factor", 0.25}, {"mscale", nullptr}});
  CHECK(parameters.theta() == 10000);
  CHECK(parameters.rotary_dim() == 16);
  CHECK_FALSE(parameters.optional_number("mscale").has_value());
  CHECK(parameters.max_length() == 2048);
}

TEST_CASE("a base that is not a number above zero is refused", "[rope][type_parameters][misuse]") {
  CHECK_THROWS_AS(with({}).theta(), value_error);
  CHECK_THROWS_AS(with({{"rope_theta", 0}}).theta(), value_error);
  CHECK_THROWS_AS(with({{"rope_theta", -1e4}}).theta(), value_error);
  CHECK_THROWS_AS(with({{"rope_theta", std::numeric_limits<double>::quiet_NaN()}}).theta(), value_error);
  CHECK_THROWS_AS(with({{"rope_theta", std::numeric_limits<double>::infinity()}}).theta(), value_error);
  CHECK_THROWS_AS(with({{"rope_theta", "large"}}).theta(), value_error);
}

TEST_CASE("a rotary share that leaves no element or more than all is refused", "[rope][type_parameters][misuse]") {
  CHECK_THROWS_AS(with({{"partial_rotary_factor", 0.0}}).rotary_dim(), value_error);
  CHECK_THROWS_AS(with({{"partial_rotary_factor", 1.5}}).rotary_dim(), value_error);
}

TEST_CASE("an odd width takes one element more", "[rope][type_parameters]") {
  CHECK(with({{"partial_rotary_factor", 0.334}}).rotary_dim() == 21);
  CHECK(with({{"partial_rotary_factor", 0.334}}).pairs() == 11);
  CHECK_THROWS_AS((rope::type_parameters{{}, 63, 2048}.rotary_dim()), value_error);
}

TEST_CASE("null and 0 are false, as they are to transformers", "[rope][type_parameters]") {
  const rope::type_parameters parameters = with({{"null", nullptr}, {"zero", 0}, {"no", false}, {"yes", true}});
  for (const char* key : {"null", "zero", "no"}) {
    CHECK_FALSE(parameters.truth(key, true));
  }
  CHECK(parameters.truth("yes", false));
  CHECK(parameters.truth("missing", true));
}

TEST_CASE("factor lists have one positive number per frequency", "[rope][type_parameters][misuse]") {
  const rope::type_parameters parameters = with({{"list", {1.0, 2, 3.5}}, {"zero", {1, 0}}, {"word", {1, "two"}}});
  CHECK(parameters.positive_list("list", 3) == std::vector<float>{1, 2, 3.5});
  CHECK_THROWS_AS(parameters.positive_list("list", 4), shape_error);
  CHECK_THROWS_AS(parameters.positive_list("missing", 3), shape_error);
  CHECK_THROWS_AS(parameters.positive_list("zero", 2), value_error);
  CHECK_THROWS_AS(parameters.positive_list("word", 2), value_error);
}

}  // namespace kvtransfer::test
