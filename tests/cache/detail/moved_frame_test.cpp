#include "kvtransfer/cache/detail/moved_frame.hpp"

#include <vector>

#include "rope/random_keys.hpp"
#include "support/message.hpp"
#include "support/test.hpp"

using namespace kvtransfer;
using namespace kvtransfer::detail;
using namespace kvtransfer::test;

namespace {

/// Four keys behind a slot of padding, in two layers.
cache_frame padded_frame(slot_state state = slot_state::rotated(0)) {
  position_row row = position_row::consecutive(0, 1, slot_state::padding());
  row.append({0, 4, 1, state});
  return cache_frame(2, {position_map(row), state.is_rotated() ? std::vector{plain_specification(8)}
                                                               : std::vector<rotary_specification>{}});
}

}  // namespace

TEST_CASE("a shifted frame has every key further on and padding where it was", "[cache][moved_frame]") {
  const position_row row = shifted(padded_frame(), 7).layer(1).positions.row(0, 0, 0);
  CHECK(row.runs().front().state.is_padding());
  CHECK(row.slice(1, 5) == position_row::consecutive(7, 4));
}

TEST_CASE("a remapped frame has every key at its new position", "[cache][moved_frame]") {
  const cache_frame moved = remapped(padded_frame(), position_map(position_row::listed({9, 8, 7, 6, 5})), "test");
  CHECK(moved.layer(0).positions.row(0, 0, 0).slice(1, 5) == position_row::listed({8, 7, 6, 5}));
  CHECK(moved.layer(0).positions.row(0, 0, 0).runs().front().state.is_padding());
  CHECK_THAT(message_of<shape_error>([] { remapped(padded_frame(), position_map::consecutive(0, 4), "test"); }),
             StartsWith("test: positions: expected [streams=1, batch=1, seq=5]"));
}

TEST_CASE("rotations come off, go on and change, where the frame justifies it", "[cache][moved_frame]") {
  const cache_frame rotated_frame = padded_frame();
  const cache_frame plain = unrotated(rotated_frame, "test");
  CHECK(plain == padded_frame(slot_state::unrotated()));
  const std::vector<rotary_specification> same(2, plain_specification(8));
  const std::vector<rotary_specification> other(2, plain_specification(8, 1e6));
  CHECK(rotated(plain, same, "test") == rotated_frame);
  CHECK((reframed(rotated_frame, other, "test").layer(1).specifications == std::vector{other.front()}));
  CHECK_THROWS_AS(unrotated(plain, "test"), frame_error);
  CHECK_THROWS_AS(rotated(rotated_frame, same, "test"), frame_error);
  CHECK_THROWS_AS(reframed(plain, same, "test"), frame_error);
  CHECK_THROWS_AS(reframed(rotated_frame, {plain_specification(8)}, "test"), shape_error);
}

TEST_CASE("layers that shared their frame share the moved one where their specifications agree",
          "[cache][moved_frame]") {
  const cache_frame plain = unrotated(padded_frame(), "test");
  const cache_frame together = rotated(plain, {plain_specification(8), plain_specification(8)}, "test");
  CHECK(together.shared(0) == together.shared(1));
  const cache_frame apart = rotated(plain, {plain_specification(8), plain_specification(8, 1e6)}, "test");
  CHECK(apart.shared(0) != apart.shared(1));
}
