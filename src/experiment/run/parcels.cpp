#include "experiment/run/parcels.hpp"

#include <algorithm>
#include <cstddef>

namespace kvtransfer::detail {

namespace {

bool begin_alike(const cell& a, const cell& b) { return a.test == b.test && a.condition == b.condition; }

std::int64_t quotient_up(std::int64_t number, std::int64_t divisor) { return (number + divisor - 1) / divisor; }

std::int64_t tests_of(const std::vector<cell>& waiting) {
  std::int64_t tests = 0;
  for (std::size_t i = 0; i < waiting.size(); ++i) {
    tests += i == 0 || waiting[i].test != waiting[i - 1].test ? 1 : 0;
  }
  return tests;
}

/// Trials that begin alike, in pieces of a share at most.
std::vector<slot_range> pieces_of(const std::vector<cell>& waiting, std::int64_t share) {
  std::vector<slot_range> pieces;
  for (std::size_t i = 0; i < waiting.size(); ++i) {
    if (pieces.empty() || pieces.back().count == share || !begin_alike(waiting[i - 1], waiting[i])) {
      pieces.push_back({static_cast<std::int64_t>(i), 0});
    }
    ++pieces.back().count;
  }
  return pieces;
}

}  // namespace

std::vector<slot_range> parcels_of(const std::vector<cell>& waiting, std::int64_t processes) {
  const auto all = static_cast<std::int64_t>(waiting.size());
  const std::int64_t rounds = std::max({std::int64_t{1}, quotient_up(all, processes * most_cells_of_parcel),
                                        quotient_up(tests_of(waiting), processes * most_tests_of_parcel)});
  const std::int64_t shares = rounds * processes;
  const std::int64_t share = std::max(std::int64_t{1}, quotient_up(all, shares));
  const auto test_of = [&](std::int64_t index) { return waiting[static_cast<std::size_t>(index)].test; };
  std::vector<slot_range> parcels;
  for (const slot_range& piece : pieces_of(waiting, share)) {
    // Piece by piece until the middle of the next would lie behind what the parcels up to here should have.
    const auto number = static_cast<std::int64_t>(parcels.size());
    const bool has_its_share = 2 * shares * piece.begin + shares * piece.count > 2 * number * all;
    if (parcels.empty() || has_its_share || parcels.back().count + piece.count > most_cells_of_parcel ||
        static_cast<std::int64_t>(test_of(piece.begin) - test_of(parcels.back().begin)) >= most_tests_of_parcel) {
      parcels.push_back({piece.begin, 0});
    }
    parcels.back().count += piece.count;
  }
  return parcels;
}

}  // namespace kvtransfer::detail
