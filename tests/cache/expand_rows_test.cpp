#include "kvtransfer/cache/expand_rows.hpp"

#include <ATen/ops/equal.h>

#include "cache/known_cache.hpp"
#include "support/test.hpp"

using namespace kvtransfer;
using namespace kvtransfer::test;

TEST_CASE("one sequence is shown as several without a copy", "[cache][expand_rows]") {
  known_cache known = known_cache_of(2, 4);
  const cache_view<> three = expand_rows(known.kv.view(), 3);
  CHECK(three.batch() == 3);
  CHECK(three.frame().layer(0).positions == position_map::consecutive(0, 4, 3));
  CHECK(three.layer(1).keys().data_ptr() == known.kv.view().layer(1).keys().data_ptr());
  CHECK(at::equal(three.layer(1).values()[2], known.kv.view().layer(1).values()[0]));
}

TEST_CASE("a move that is pending is made in every row that is shown", "[cache][expand_rows]") {
  known_cache known = known_cache_of(1, 4);
  known.kv.shift(9);
  const cache_view<> two = expand_rows(known.kv.view(), 2);
  CHECK(two.has_pending_move());
  CHECK(at::equal(two.layer(0).keys()[1], known.kv.view().layer(0).keys()[0]));
  CHECK_FALSE(known.kv.materialized());
}

TEST_CASE("several sequences are not expanded, nor is one into none", "[cache][expand_rows]") {
  CHECK_THROWS_AS(expand_rows(known_cache_of(1, 4, 2).kv.view(), 2), shape_error);
  CHECK_THROWS_AS(expand_rows(known_cache_of(1, 4).kv.view(), 0), shape_error);
}
