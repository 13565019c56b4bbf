#include "kvtransfer/tensor/slot_pairs.hpp"

#include <ATen/ops/empty.h>

#include <vector>

#include "support/test.hpp"

using namespace kvtransfer;
using layouts::slot_table;

namespace {

layouts::lowered storage(std::int64_t rows, std::int64_t slots, std::optional<slot_table> table = std::nullopt) {
  return {at::empty({rows, 2, slots, 8}), table};
}

}  // namespace

TEST_CASE("slots are paired by where each side keeps them", "[tensor][slot_pairs]") {
  const slot_table blocks(2, 3, {{0, 0, 4, 1, 3}, {1, 1, 0, 0, 2}});
  const slot_pairs out = pair_slots(storage(2, 3), storage(5, 4, blocks), "test");
  CHECK(host_integers(out.to, "test", "to") == std::vector<std::int64_t>{0, 1, 2, 3, 4, 5});
  CHECK(host_integers(out.from, "test", "from") == std::vector<std::int64_t>{17, 18, 19, -1, 0, 1});
  CHECK_FALSE(out.complete);
  const slot_pairs in = pair_slots(storage(5, 4, blocks), storage(2, 3), "test");
  CHECK(host_integers(in.to, "test", "to") == std::vector<std::int64_t>{17, 18, 19, 0, 1});
  CHECK(host_integers(in.from, "test", "from") == std::vector<std::int64_t>{0, 1, 2, 4, 5});
  CHECK(in.complete);
}

TEST_CASE("strides alone need no list", "[tensor][slot_pairs]") {
  CHECK(pair_slots(storage(2, 3), storage(2, 3), "test").is_identity());
}

TEST_CASE("slots that cannot be paired are refused", "[tensor][slot_pairs]") {
  CHECK_THROWS_AS(pair_slots(storage(2, 3), storage(2, 4), "test"), shape_error);
  const slot_table shared(2, 2, {{0, 0, 0, 0, 2}, {1, 0, 0, 0, 2}});
  CHECK_THROWS_AS(pair_slots(storage(1, 2, shared), storage(2, 2), "test"), shape_error);
  CHECK_NOTHROW(pair_slots(storage(2, 2), storage(1, 2, shared), "test"));
}
