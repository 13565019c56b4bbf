#include "experiment/run/parcels.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <random>
#include <vector>

#include "support/test.hpp"

using namespace kvtransfer;
using namespace kvtransfer::detail;

namespace {

std::vector<cell> cells_of(std::size_t tests, std::size_t conditions, std::int64_t trials) {
  std::vector<cell> cells;
  for (std::size_t t = 0; t < tests; ++t) {
    for (std::size_t c = 0; c < conditions; ++c) {
      for (std::int64_t i = 0; i < trials; ++i) {
        cells.push_back({t, c, i});
      }
    }
  }
  return cells;
}

std::vector<std::int64_t> counts_of(const std::vector<slot_range>& parcels) {
  std::vector<std::int64_t> counts;
  for (const slot_range& parcel : parcels) {
    counts.push_back(parcel.count);
  }
  return counts;
}

}  // namespace

TEST_CASE("a process alone takes all in parcels of what it keeps at a time", "[experiment][parcels]") {
  CHECK(parcels_of({}, 1).empty());
  CHECK(counts_of(parcels_of(cells_of(5, 7, 10), 1)) == std::vector<std::int64_t>{350});
  const std::vector<slot_range> many = parcels_of(cells_of(400, 7, 1), 1);
  CHECK(many.size() == 25);
  CHECK(many.front().count == 16 * 7);
}

TEST_CASE("several processes get equal shares", "[experiment][parcels]") {
  CHECK(counts_of(parcels_of(cells_of(5, 7, 10), 2)) == std::vector<std::int64_t>{180, 170});
  const std::vector<std::int64_t> eighths = counts_of(parcels_of(cells_of(5, 7, 1), 8));
  CHECK(eighths.size() == 8);
  CHECK(std::ranges::max(eighths) <= 5);
}

TEST_CASE("trials that begin alike stay together unless they are more than a share", "[experiment][parcels]") {
  for (const slot_range& parcel : parcels_of(cells_of(3, 4, 6), 4)) {
    CHECK(parcel.begin % 6 == 0);
    CHECK(parcel.count % 6 == 0);
  }
  CHECK(counts_of(parcels_of(cells_of(1, 1, 1000), 4)) == std::vector<std::int64_t>{250, 250, 250, 250});
}

TEST_CASE("parcels make up what waits, in order, within what is kept at a time", "[experiment][parcels]") {
  std::mt19937_64 draws(5);
  for (int i = 0; i < 200; ++i) {
    const std::vector<cell> cells =
        cells_of(1 + draws() % 60, 1 + draws() % 9, 1 + static_cast<std::int64_t>(draws() % 400));
    std::vector<cell> waiting;
    const std::uint64_t kept = 1 + draws() % 4;
    std::ranges::copy_if(cells, std::back_inserter(waiting), [&](const cell&) { return draws() % kept == 0; });
    const auto processes = static_cast<std::int64_t>(1 + draws() % 9);
    const std::vector<slot_range> parcels = parcels_of(waiting, processes);
    CAPTURE(waiting.size(), processes, counts_of(parcels));
    std::int64_t next = 0;
    for (const slot_range& parcel : parcels) {
      REQUIRE(parcel.begin == next);
      REQUIRE(parcel.count > 0);
      next = parcel.end();
      CHECK(parcel.count <= most_cells_of_parcel);
      const auto test_at = [&](std::int64_t at) { return waiting[static_cast<std::size_t>(at)].test; };
      CHECK(test_at(parcel.end() - 1) - test_at(parcel.begin) < most_tests_of_parcel);
    }
    CHECK(next == static_cast<std::int64_t>(waiting.size()));
  }
}
