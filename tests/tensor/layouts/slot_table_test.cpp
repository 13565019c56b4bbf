#include "kvtransfer/tensor/layouts/slot_table.hpp"

#include <vector>

#include "kvtransfer/core/error.hpp"
#include "support/message.hpp"
#include "support/test.hpp"

using namespace kvtransfer;
using namespace kvtransfer::test;
using layouts::slot_span;
using layouts::slot_table;

TEST_CASE("a table says where each slot lies", "[tensor][layouts][slot_table]") {
  const slot_table table(2, 3, {{1, 0, 4, 1, 2}, {0, 0, 2, 0, 3}}, 8);
  CHECK(table.places(8) == std::vector<std::int64_t>{16, 17, 18, 33, 34, -1});
  CHECK(table.blocks_needed() == 5);
  CHECK(table.slots_needed() == 3);
  CHECK(table.spans().front() == slot_span{0, 0, 2, 0, 3});
}

TEST_CASE("a table says which slots lie nowhere", "[tensor][layouts][slot_table]") {
  const auto lie_nowhere = [](const slot_table& table, const std::vector<layouts::unstored_slots>& slots) {
    return table.unstored() == slots;
  };
  CHECK(lie_nowhere(slot_table(2, 3, {{0, 0, 2, 0, 3}, {1, 0, 4, 1, 3}}), {}));
  CHECK(lie_nowhere(slot_table(1, 5, {{0, 0, 1, 0, 2}, {0, 2, 0, 0, 3}}), {}));
  CHECK(lie_nowhere(slot_table(2, 3, {{0, 0, 2, 0, 3}, {1, 0, 4, 1, 2}}), {{1, {2, 1}}}));
  CHECK(lie_nowhere(slot_table(3, 9, {{1, 2, 0, 0, 3}, {1, 6, 1, 0, 1}}),
                    {{0, {0, 9}}, {1, {0, 2}}, {1, {5, 1}}, {1, {7, 2}}, {2, {0, 9}}}));
  CHECK(lie_nowhere(slot_table(2, 3, {}), {{0, {0, 3}}, {1, {0, 3}}}));
  CHECK(lie_nowhere(slot_table(2, 0, {}), {}));
  CHECK(lie_nowhere(slot_table(), {}));
}

TEST_CASE("a table of nothing needs nothing", "[tensor][layouts][slot_table]") {
  CHECK(slot_table().spans().empty());
  CHECK(slot_table().places(4).empty());
  CHECK(slot_table(2, 3, {{0, 1, 0, 0, 0}}) == slot_table(2, 3, {}));
  CHECK(slot_table(1, 2, {}).places(4) == std::vector<std::int64_t>{-1, -1});
}

TEST_CASE("a slice of a table keeps the places of its slots", "[tensor][layouts][slot_table]") {
  const slot_table table(2, 6, {{0, 0, 3, 0, 4}, {0, 4, 1, 0, 2}, {1, 2, 5, 1, 3}}, 4);
  const slot_table part = table.slice(1, 5);
  CHECK(part.seq() == 4);
  CHECK(part.places(4) == std::vector<std::int64_t>{13, 14, 15, 4, -1, 21, 22, 23});
  CHECK(table.slice(0, 6) == table);
  CHECK(table.slice(2, 2).spans().empty());
  CHECK_THROWS_AS(table.slice(3, 7), shape_error);
  CHECK_THROWS_AS(table.slice(3, 2), shape_error);
}

TEST_CASE("slots of several rows may share a place", "[tensor][layouts][slot_table]") {
  const slot_table shared(2, 2, {{0, 0, 0, 0, 2}, {1, 0, 0, 0, 2}});
  CHECK(shared.places(2) == std::vector<std::int64_t>{0, 1, 0, 1});
  CHECK(shared.shares_places());
  CHECK_FALSE(shared.slice(1, 1).shares_places());
  CHECK_FALSE(slot_table(2, 2, {{0, 0, 0, 0, 2}, {1, 0, 0, 2, 2}}).shares_places());
  CHECK(slot_table(2, 2, {{0, 0, 0, 0, 2}, {1, 0, 0, 1, 1}}).shares_places());
}

TEST_CASE("spans that leave their rows or meet are refused", "[tensor][layouts][slot_table]") {
  CHECK_THROWS_AS(slot_table(1, 4, {{1, 0, 0, 0, 1}}), shape_error);
  CHECK_THROWS_AS(slot_table(1, 4, {{0, 3, 0, 0, 2}}), shape_error);
  CHECK_THROWS_AS(slot_table(1, 4, {{0, 0, -1, 0, 2}}), shape_error);
  CHECK_THROWS_AS(slot_table(1, 4, {{0, 0, 0, 3, 2}}, 4), shape_error);
  CHECK(message_of<shape_error>([] { slot_table(1, 4, {{0, 0, 0, 0, 3}, {0, 2, 1, 0, 1}}); }) ==
        "slot_table: span: expected each slot in one place, got slots [2, 3) of sequence 0 at slot 0 of block 1");
}
