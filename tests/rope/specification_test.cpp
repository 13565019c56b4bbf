#include "kvtransfer/rope/specification.hpp"

#include <limits>

#include "kvtransfer/core/error.hpp"
#include "rope/random_keys.hpp"
#include "support/test.hpp"

namespace kvtransfer::test {

TEST_CASE("a specification without frequencies rotates nothing", "[rope][specification]") {
  const rotary_specification none;
  CHECK_FALSE(none.rotates());
  CHECK(none.rotary_dim() == 0);
  CHECK(plain_specification(8).rotary_dim() == 8);
}

TEST_CASE("specifications compare by everything that changes a key", "[rope][specification]") {
  const rotary_specification one = plain_specification(8);
  CHECK(one == plain_specification(8));
  rotary_specification other = one;
  other.attention_scaling = 1.5;
  CHECK_FALSE(one == other);
  other = one;
  other.pairing = rope::pairing::interleaved;
  CHECK_FALSE(one == other);
  other = one;
  other.window_offset = 4;
  CHECK_FALSE(one == other);
}

TEST_CASE("a specification reads as many streams as its list names", "[rope][specification]") {
  rotary_specification specification = plain_specification(8);
  CHECK(specification.streams() == 1);
  specification.stream_of = {0, 1, 2, 0};
  CHECK(specification.streams() == 3);
}

TEST_CASE("a specification that cannot be computed with is refused", "[rope][specification]") {
  rotary_specification specification = plain_specification(8);
  rope::validate(specification, "test");
  SECTION("a frequency that is not a number") {
    specification.inv_freq[1] = std::numeric_limits<float>::quiet_NaN();
    CHECK_THROWS_AS(rope::validate(specification, "test"), value_error);
  }
  SECTION("an attention scaling of zero") {
    specification.attention_scaling = 0;
    CHECK_THROWS_AS(rope::validate(specification, "test"), value_error);
  }
  SECTION("a window that starts before the head") {
    specification.window_offset = -1;
    CHECK_THROWS_AS(rope::validate(specification, "test"), value_error);
  }
  SECTION("a stream list of another length") {
    specification.stream_of = {0, 1, 2};
    CHECK_THROWS_AS(rope::validate(specification, "test"), shape_error);
  }
}

}  // namespace kvtransfer::test
