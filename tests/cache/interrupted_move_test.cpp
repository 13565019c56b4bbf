// Memory that runs out in the middle of a move: keys that were reached by then are read by nobody as if they had
// stayed.

#include <ATen/ops/equal.h>

#include <cstdint>
#include <new>

#include "cache/known_cache.hpp"
#include "kvtransfer/cache/borrowed_cache.hpp"
#include "kvtransfer/rope/move_tensor.hpp"
#include "support/failing_allocator.hpp"
#include "support/message.hpp"
#include "support/test.hpp"

using namespace kvtransfer;
using namespace kvtransfer::test;

namespace {

struct outcomes {
  int untouched = 0;
  int refused = 0;
};

/// Runs `move(known cache)` with each of its allocations failing in turn, and looks at what is left.
template <class Move, class Look>
outcomes interrupted(Move&& move, Look&& look) {
  outcomes found;
  for (std::int64_t number = 0; number < 1'000; ++number) {
    known_cache known = known_cache_of(3, 4);
    bool ran_out = false;
    try {
      const failing_allocator until(number);
      move(known.kv);
    } catch (const std::bad_alloc&) {
      ran_out = true;
    }
    if (!ran_out) {
      return found;
    }
    look(known, found);
  }
  FAIL("a move that never ends");
  return found;
}

/// Whether the keys lie as they were written; where they do not, a view has to refuse.
void look_at(const known_cache& known, const cache_view<>& before, outcomes& found) {
  try {
    static_cast<void>(before.layer(0).keys());
    for (std::int64_t i = 0; i < before.layers(); ++i) {
      REQUIRE(distance_from_written(before.layer(i).keys(), known.plain[static_cast<std::size_t>(i)],
                                    before.frame().layer(i)) < 1e-9);
    }
    ++found.untouched;
  } catch (const frame_error& error) {
    CHECK_THAT(std::string(error.what()), contains("a change by"));
    CHECK_THROWS_AS(known.kv.view(), frame_error);
    ++found.refused;
  }
}

}  // namespace

TEST_CASE("a cache whose keys ran out of memory while they moved is not read as if they had stayed",
          "[cache][interrupted_move]") {
  // Float64 goes by the reference, which needs memory for each rotation: three, since each layer goes elsewhere.
  const auto reframed = [](cache& kv) {
    kv.reframe({known_specification(1.5), known_specification(2), known_specification(3)});
    kv.materialize();
  };
  std::optional<cache_view<>> before;
  const outcomes found = interrupted(
      [&](cache& kv) {
        before = kv.view();
        reframed(kv);
      },
      [&](const known_cache& known, outcomes& all) { look_at(known, *before, all); });
  CHECK(found.untouched > 0);
  CHECK(found.refused > 0);
}

TEST_CASE("tensors that ran out of memory while they moved are not read through anybody's frame",
          "[cache][interrupted_move]") {
  std::optional<cache_view<>> before;
  const outcomes borrowed = interrupted(
      [&](cache& kv) {
        before = kv.view();
        borrowed_cache(kv.view()).reframe({known_specification(1.5), known_specification(2), known_specification(3)});
      },
      [&](const known_cache& known, outcomes& all) { look_at(known, *before, all); });
  CHECK(borrowed.refused > 0);
  const outcomes plain = interrupted(
      [&](cache& kv) {
        before = kv.view();
        rope::rotate_keys_({kv.view().layer(0).keys(), kv.view().layer(1).keys()},
                           rope::rotation::shift(5, known_specification()));
      },
      [&](const known_cache& known, outcomes& all) { look_at(known, *before, all); });
  CHECK(plain.refused > 0);
}
