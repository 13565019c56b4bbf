#include "kvtransfer/tensor/quantized/slot_groups.hpp"

#include "kvtransfer/core/error.hpp"
#include "support/test.hpp"

using namespace kvtransfer;

using ends_of_groups = std::vector<std::int64_t>;

TEST_CASE("slots are cut into equal groups and a shorter last one", "[tensor][quantized]") {
  CHECK(slot_groups::of_size(4, 10).ends() == ends_of_groups{4, 8, 10});
  CHECK((slot_groups::of_size(4, 8).runs() == std::vector<group_run>{{2, 4}}));
  CHECK(slot_groups::of_size(4, 3).ends() == ends_of_groups{3});
  CHECK(slot_groups::of_size(4, 0).count() == 0);
}

TEST_CASE("any slice keeps what is left of the groups it cuts", "[tensor][quantized]") {
  const slot_groups groups = slot_groups::of_size(4, 10).followed_by(slot_groups::of_size(3, 7));
  const ends_of_groups ends = groups.ends();
  REQUIRE(ends == ends_of_groups{4, 8, 10, 13, 16, 17});
  for (std::int64_t begin = 0; begin <= 17; ++begin) {
    for (std::int64_t end = begin; end <= 17; ++end) {
      ends_of_groups expected;
      for (const std::int64_t each : ends) {
        if (each > begin && (expected.empty() || expected.back() < end - begin)) {
          expected.push_back(std::min(each, end) - begin);
        }
      }
      expected = begin == end ? ends_of_groups{} : expected;
      REQUIRE(groups.slice(begin, end).ends() == expected);
      REQUIRE(groups.slice(begin, end).size() == end - begin);
    }
  }
  CHECK_THROWS_AS(groups.slice(0, 18), shape_error);
  CHECK_THROWS_AS(groups.slice(5, 4), shape_error);
}

TEST_CASE("groups are counted up to a slot", "[tensor][quantized]") {
  const slot_groups groups = slot_groups::of_size(4, 10).followed_by(slot_groups::of_size(3, 7));
  const ends_of_groups ends = groups.ends();
  for (std::int64_t slot = 0; slot <= 17; ++slot) {
    std::int64_t begun = 0;
    for (std::size_t i = 0; i < ends.size(); ++i) {
      begun += (i == 0 ? 0 : ends[i - 1]) < slot ? 1 : 0;
    }
    CHECK(groups.begun_before(slot) == begun);
    CHECK(groups.has_cut(slot) == (slot == 0 || std::find(ends.begin(), ends.end(), slot) != ends.end()));
  }
}
