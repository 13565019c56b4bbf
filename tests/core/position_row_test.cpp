#include "kvtransfer/core/position_row.hpp"

#include <limits>
#include <numeric>
#include <random>
#include <vector>

#include "kvtransfer/core/error.hpp"
#include "support/test.hpp"

using namespace kvtransfer;

namespace {

/// What a row means, slot by slot and without any compression: the reference that every operation must agree with.
struct plain_slot {
  std::int64_t position;
  slot_state state;
  friend bool operator==(const plain_slot&, const plain_slot&) = default;
};
using plain_row = std::vector<plain_slot>;

plain_row plain(const position_row& row) {
  plain_row slots;
  const std::vector<std::int64_t> positions = row.positions();
  for (const position_run& run : row.runs()) {
    for (std::int64_t i = 0; i < run.count; ++i) {
      slots.push_back({positions[slots.size()], run.state});
    }
  }
  return slots;
}

position_row compressed(const plain_row& slots) {
  position_row row;
  for (const plain_slot& slot : slots) {
    row.append({slot.position, 1, 1, slot.state});
  }
  return row;
}

/// Few states and small steps, so that runs of every kind form, meet and break.
plain_row random_slots(std::mt19937& random, std::size_t count) {
  const slot_state states[] = {slot_state::rotated(), slot_state::rotated(1), slot_state::unrotated(),
                               slot_state::padding()};
  plain_row slots;
  std::int64_t position = 0;
  slot_state state = states[0];
  while (slots.size() < count) {
    if (random() % 4 == 0) {
      state = states[random() % 4];
    }
    position += static_cast<std::int64_t>(random() % 8 == 0 ? random() % 7 : random() % 3 != 0) - (random() % 16 == 0);
    slots.push_back({state.is_padding() ? 0 : position, state});
  }
  return slots;
}

std::vector<std::int64_t> random_selection(std::mt19937& random, std::size_t size) {
  std::vector<std::int64_t> slots(size == 0 ? 0 : random() % (2 * size));
  for (std::int64_t& slot : slots) {
    slot = static_cast<std::int64_t>(random() % size);
  }
  return slots;
}

}  // namespace

TEST_CASE("consecutive positions are one run, however they were appended", "[core][position_row]") {
  const position_row whole = position_row::consecutive(3, 5);
  CHECK(whole.runs() == std::vector<position_run>{{3, 5, 1}});
  CHECK(position_row::listed({3, 4, 5, 6, 7}) == whole);

  position_row parts = position_row::consecutive(3, 2);
  parts.append(position_row::consecutive(5, 3));
  CHECK(parts == whole);
}

TEST_CASE("a repeated position is a run of step zero", "[core][position_row]") {
  CHECK(position_row::listed({7, 7, 7}).runs() == std::vector<position_run>{{7, 3, 0}});
}

TEST_CASE("the longest run on the left wins, whatever pieces it came in", "[core][position_row]") {
  const position_row listed = position_row::listed({4, 4, 5, 6});
  CHECK(listed.runs() == std::vector<position_run>{{4, 2, 0}, {5, 2, 1}});

  position_row pieces = position_row::consecutive(4, 1);
  pieces.append(position_row::consecutive(4, 3));
  CHECK(pieces == listed);
}

TEST_CASE("another state starts another run", "[core][position_row]") {
  position_row row = position_row::consecutive(0, 2);
  row.append(position_row::consecutive(2, 2, slot_state::unrotated()));
  row.append(position_row::consecutive(4, 2, slot_state::rotated(1)));
  CHECK(row.runs().size() == 3);
  CHECK(row.positions() == std::vector<std::int64_t>{0, 1, 2, 3, 4, 5});
}

TEST_CASE("padding has no positions, so any two paddings of one length are equal", "[core][position_row]") {
  CHECK(position_row::consecutive(5, 3, slot_state::padding()) ==
        position_row::consecutive(0, 3, slot_state::padding()));
  CHECK(position_row::listed({9, 2, 4}, slot_state::padding()) ==
        position_row::consecutive(0, 3, slot_state::padding()));
}

TEST_CASE("an empty run adds nothing", "[core][position_row]") {
  position_row row = position_row::consecutive(1, 2);
  row.append({9, 0, 1});
  row.append(position_row());
  CHECK(row == position_row::consecutive(1, 2));
  CHECK(position_row::consecutive(4, 0) == position_row());
}

TEST_CASE("a run of a larger step is kept as single slots", "[core][position_row]") {
  position_row row;
  row.append({10, 3, 2});
  CHECK(row == position_row::listed({10, 12, 14}));
}

TEST_CASE("shifting moves rotated and unrotated slots and leaves padding", "[core][position_row]") {
  position_row row = position_row::consecutive(0, 2, slot_state::padding());
  row.append(position_row::consecutive(3, 2));
  row.append(position_row::consecutive(5, 1, slot_state::unrotated()));
  CHECK(row.shifted(10).positions() == std::vector<std::int64_t>{0, 0, 13, 14, 15});
  CHECK(row.shifted(10).shifted(-10) == row);
}

TEST_CASE("positions of one row go into the states of another", "[core][position_row]") {
  position_row states = position_row::consecutive(0, 1, slot_state::padding());
  states.append(position_row::consecutive(0, 1, slot_state::unrotated()));
  states.append(position_row::consecutive(1, 2, slot_state::rotated(3)));
  const position_row mixed = position_row::listed({50, 60, 70, 80}).with_states_of(states);
  CHECK(mixed.positions() == std::vector<std::int64_t>{0, 60, 70, 80});
  CHECK(mixed.has_states_of(states));
  CHECK(mixed.one_run_per_slot()[3].state == slot_state::rotated(3));
  CHECK_FALSE(position_row::listed({50, 60, 70, 80}).has_states_of(states));
}

TEST_CASE("a key without a position, or rows of two sizes, cannot be mixed", "[core][position_row]") {
  const position_row keys = position_row::consecutive(0, 3);
  CHECK_THROWS_AS(position_row::consecutive(0, 3, slot_state::padding()).with_states_of(keys), shape_error);
  CHECK_THROWS_AS(position_row::consecutive(0, 4).with_states_of(keys), shape_error);
  CHECK_FALSE(position_row::consecutive(0, 4).has_states_of(keys));
}

TEST_CASE("last position and visible slots leave padding out", "[core][position_row]") {
  position_row row = position_row::consecutive(9, 2, slot_state::padding());
  CHECK_FALSE(row.last_position().has_value());
  CHECK(row.key_count() == 0);

  row.append(position_row::listed({4, 2}));
  CHECK(row.last_position() == 4);
  CHECK(row.key_count() == 2);
  CHECK(row.size() == 4);
}

TEST_CASE("a slice or slot out of range is refused", "[core][position_row]") {
  const position_row row = position_row::consecutive(0, 4);
  CHECK_THROWS_AS(row.slice(-1, 2), shape_error);
  CHECK_THROWS_AS(row.slice(3, 2), shape_error);
  CHECK_THROWS_AS(row.slice(0, 5), shape_error);
  CHECK_THROWS_AS(row.gather({0, 4}), shape_error);
  CHECK_THROWS_AS(row.gather({-1}), shape_error);
}

TEST_CASE("random rows: operations agree with a plain list of slots", "[core][position_row]") {
  std::mt19937 random(20260);
  for (int round = 0; round < 300; ++round) {
    const plain_row slots = random_slots(random, random() % 24);
    const position_row row = compressed(slots);
    CAPTURE(round);
    REQUIRE(plain(row) == slots);
    REQUIRE(row.size() == static_cast<std::int64_t>(slots.size()));

    const auto end = static_cast<std::int64_t>(slots.empty() ? 0 : random() % (slots.size() + 1));
    const auto begin = static_cast<std::int64_t>(end == 0 ? 0 : random() % static_cast<std::size_t>(end));
    REQUIRE(plain(row.slice(begin, end)) == plain_row(slots.begin() + begin, slots.begin() + end));

    const std::vector<std::int64_t> selection = random_selection(random, slots.size());
    plain_row picked;
    for (const std::int64_t slot : selection) {
      picked.push_back(slots[static_cast<std::size_t>(slot)]);
    }
    REQUIRE(plain(row.gather(selection)) == picked);
  }
}

TEST_CASE("random rows: one list of slots has one form, however it was put together", "[core][position_row]") {
  std::mt19937 random(20261);
  for (int round = 0; round < 300; ++round) {
    const plain_row slots = random_slots(random, 1 + random() % 24);
    const position_row row = compressed(slots);
    CAPTURE(round);

    const auto cut = static_cast<std::int64_t>(random() % slots.size());
    position_row rejoined = row.slice(0, cut);
    rejoined.append(row.slice(cut, row.size()));
    REQUIRE(rejoined == row);

    std::vector<std::int64_t> all(slots.size());
    std::iota(all.begin(), all.end(), 0);
    REQUIRE(row.gather(all) == row);
    REQUIRE(row.transform([](const position_run& run) { return run; }) == row);
  }
}

TEST_CASE("positions whose sums would leave 64 bits are refused, at either end, however they come about",
          "[core][position_row]") {
  constexpr std::int64_t most = farthest_position;
  constexpr std::int64_t largest = std::numeric_limits<std::int64_t>::max();
  const position_row row = position_row::consecutive(5, 3);
  CHECK_THROWS_AS(row.shifted(most - 6), value_error);
  CHECK(row.shifted(most - 7).last_position() == most);
  CHECK_THROWS_AS(row.shifted(largest), value_error);
  CHECK_THROWS_AS(position_row::consecutive(-5, 3).shifted(-largest), value_error);
  CHECK_THROWS_AS(position_row::consecutive(-5, 3).shifted(-most), value_error);
  CHECK_THROWS_AS(position_row::consecutive(largest - 1, 5), value_error);
  CHECK_THROWS_AS(position_row::consecutive(most, 2), value_error);
  CHECK_THROWS_AS(position_row::consecutive(0, largest), value_error);
  CHECK_THROWS_AS(position_row::listed({0, -largest - 1}), value_error);
  position_row kept = row;
  CHECK_THROWS_AS(kept.append({most - 1, 4, 1, slot_state::rotated()}), value_error);
  CHECK(kept == row);
  kept.append({largest, 1, 1, slot_state::padding()});  // which stands nowhere
  CHECK(kept.last_position() == 7);
}

TEST_CASE("a row reaches as far as its furthest key, on either side of 0", "[core][position_row]") {
  CHECK(position_row().reach() == 0);
  CHECK(position_row::consecutive(5, 3).reach() == 7);
  CHECK(position_row::listed({3, -9, 4}).reach() == 9);
  CHECK(position_row::consecutive(90, 3, slot_state::padding()).reach() == 0);
}
