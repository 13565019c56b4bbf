#include "kvtransfer/cache/detail/writings.hpp"

#include <vector>

#include "rope/random_keys.hpp"
#include "support/message.hpp"
#include "support/test.hpp"

using namespace kvtransfer;
using namespace kvtransfer::detail;
using namespace kvtransfer::test;

TEST_CASE("the ways keys are written are listed once each, without specifications that no key uses",
          "[cache][writings]") {
  position_row row = position_row::consecutive(0, 2, slot_state::rotated(1));
  row.append({0, 3, 0, slot_state::padding()});
  row.append({2, 1, 1, slot_state::unrotated()});
  row.append({3, 1, 1, slot_state::rotated(1)});
  const layer_frame layer{position_map(row, 2), {plain_specification(8), plain_specification(8, 1e6)}};
  const auto found = detail::writings(layer);
  REQUIRE(found.size() == 2);
  CHECK(found[0] == plain_specification(8, 1e6));
  CHECK_FALSE(found[1]);
}

TEST_CASE("layers written differently are told apart by name", "[cache][writings]") {
  const layer_frame plain{position_map::consecutive(0, 2), {plain_specification(8)}};
  const layer_frame other{position_map::consecutive(0, 2), {plain_specification(8, 1e6)}};
  CHECK_NOTHROW(detail::require_same_writings(plain, plain, "test"));
  CHECK_NOTHROW(detail::require_same_writings(plain, layer_frame{position_map::consecutive(0, 0), {}}, "test"));
  CHECK_THAT(message_of<frame_error>([&] { detail::require_same_writings(plain, other, "test"); }),
             StartsWith("test: rotary specification: expected default: inv_freq[1] "));
}
