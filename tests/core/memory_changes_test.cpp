#include "kvtransfer/core/memory_changes.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <random>
#include <string>
#include <vector>

#include "support/test.hpp"

using namespace kvtransfer;

namespace {

/// What was changed when, kept piece by piece.
struct kept_by_piece {
  static constexpr std::size_t pieces = 64;
  static constexpr std::uintptr_t bytes = std::uintptr_t{3} << 20;  // of a piece: some lie in one page with others
  std::vector<std::uint64_t> numbers = std::vector<std::uint64_t>(pieces);
  std::vector<std::string> calls = std::vector<std::string>(pieces);

  void note(const std::vector<memory_range>& changed, std::uint64_t number, const std::string& call) {
    for (const memory_range& range : changed) {
      for (std::size_t i = range.begin / bytes; i < range.end / bytes; ++i) {
        numbers[i] = number;
        calls[i] = call;
      }
    }
  }

  /// The call of the latest change since `known`; empty for none.
  [[nodiscard]] std::string call_since(std::uint64_t known, const std::vector<memory_range>& read) const {
    std::string call;
    for (const memory_range& range : read) {
      for (std::size_t i = range.begin / bytes; i < range.end / bytes; ++i) {
        if (numbers[i] > known) {
          known = numbers[i];
          call = calls[i];
        }
      }
    }
    return call;
  }
};

/// Some pieces, in any order, that may overlap and touch.
std::vector<memory_range> some_ranges(std::mt19937& random) {
  std::vector<memory_range> ranges;
  for (std::size_t count = 1 + random() % 4; count > 0; --count) {
    const std::uintptr_t begin = random() % kept_by_piece::pieces;
    const std::uintptr_t end = std::min<std::uintptr_t>(begin + random() % 6, kept_by_piece::pieces);
    ranges.push_back({begin * kept_by_piece::bytes, end * kept_by_piece::bytes});
  }
  return ranges;
}

}  // namespace

TEST_CASE("a change is found in every piece of memory that it reached, and in no other", "[core][memory_changes]") {
  memory_changes changes;
  const std::uint64_t before = changes.last();
  changes.note({{100, 200}, {300, 400}}, "a move");
  CHECK(changes.call_since(before, {{0, 101}}) == "a move");
  CHECK(changes.call_since(before, {{399, 500}}) == "a move");
  CHECK_FALSE(changes.call_since(before, {{0, 100}, {200, 300}, {400, 500}}).has_value());
  CHECK_FALSE(changes.call_since(changes.last(), {{0, 500}}).has_value());
}

TEST_CASE("the latest change names its call, and leaves older ones where it does not reach", "[core][memory_changes]") {
  memory_changes changes;
  changes.note({{0, 100}}, "first");
  const std::uint64_t between = changes.note({{40, 60}}, "second");
  changes.note({{50, 120}}, "third");
  CHECK(changes.call_since(0, {{0, 40}}) == "first");
  CHECK(changes.call_since(0, {{0, 50}}) == "second");
  CHECK(changes.call_since(0, {{0, 100}}) == "third");
  CHECK_FALSE(changes.call_since(between, {{0, 50}}).has_value());
  CHECK(changes.call_since(between, {{0, 51}}) == "third");
}

TEST_CASE("a change inside of another leaves both of its sides", "[core][memory_changes]") {
  memory_changes changes;
  changes.note({{0, 100}}, "outer");
  changes.note({{40, 60}}, "inner");
  CHECK(changes.call_since(0, {{60, 61}}) == "outer");
  CHECK(changes.call_since(0, {{39, 40}}) == "outer");
  CHECK(changes.call_since(0, {{59, 60}}) == "inner");
}

TEST_CASE("pieces are put in order by joining those that meet or adjoin", "[core][memory_changes]") {
  const auto in_order = [](std::vector<memory_range> pieces) {
    detail::put_in_order(pieces);
    return pieces;
  };
  using pieces = std::vector<memory_range>;
  CHECK((in_order({}) == pieces{}));
  CHECK((in_order({{5, 5}}) == pieces{}));
  CHECK((in_order({{1, 3}, {5, 9}}) == pieces{{1, 3}, {5, 9}}));
  CHECK((in_order({{5, 9}, {1, 3}}) == pieces{{1, 3}, {5, 9}}));
  CHECK((in_order({{1, 3}, {3, 9}, {11, 12}}) == pieces{{1, 9}, {11, 12}}));
  CHECK((in_order({{1, 10}, {2, 3}, {4, 4}, {9, 12}, {20, 21}}) == pieces{{1, 12}, {20, 21}}));
}

TEST_CASE("whether pieces meet is found in either order, of few and of many", "[core][memory_changes]") {
  std::vector<memory_range> many;
  for (std::uintptr_t i = 0; i < 1000; ++i) {
    many.push_back({10 * i, 10 * i + 5});
  }
  for (std::uintptr_t at = 0; at < 10'000; at += 7) {
    const std::vector<memory_range> few{{at, at + 1}};
    const bool meets = at % 10 < 5;
    CHECK(detail::any_meet(few, many) == meets);
    CHECK(detail::any_meet(many, few) == meets);
  }
  CHECK_FALSE(detail::any_meet(many, {{20'000, 20'001}}));
  CHECK_FALSE(detail::any_meet({}, many));
  CHECK(detail::any_meet({{6, 7}, {1'236, 1'241}}, many));
  CHECK_FALSE(detail::any_meet({{6, 7}, {1'236, 1'240}}, many));
}

TEST_CASE("a change of nothing is a change of no memory", "[core][memory_changes]") {
  memory_changes changes;
  CHECK(changes.note({{5, 5}}, "nothing") == 1);
  CHECK_FALSE(changes.call_since(0, {{0, 10}}).has_value());
}

TEST_CASE("changes of any pieces, again and again, are found as if each piece were kept apart",
          "[core][memory_changes]") {
  std::mt19937 random(1);
  memory_changes changes;
  kept_by_piece expected;
  std::vector<std::vector<memory_range>> before;
  for (int i = 0; i < 2000; ++i) {
    CAPTURE(i);
    const bool again = !before.empty() && random() % 2 == 0;
    before.push_back(again ? before[random() % before.size()] : some_ranges(random));
    const std::string call = "move " + std::to_string(random() % 5);
    expected.note(before.back(), changes.note(before.back(), call), call);
    if (random() % 8 != 0) {
      continue;  // several follow one another before anybody asks
    }
    const std::vector<memory_range> read = some_ranges(random);
    const std::uint64_t known = changes.last() - std::min<std::uint64_t>(changes.last(), random() % 40);
    const auto found = changes.call_since(known, read);
    CHECK(found.value_or("") == expected.call_since(known, read));
    CHECK((changes.may_have_changed(known, read) || !found));
  }
}

TEST_CASE("memory far from any change since is known not to have changed", "[core][memory_changes]") {
  constexpr std::uintptr_t far = std::uintptr_t{1} << 30;
  memory_changes changes;
  const std::uint64_t before = changes.note({{0, 100}}, "first");
  changes.note({{far, far + 100}}, "second");
  CHECK(changes.may_have_changed(0, {{0, 100}}));
  CHECK_FALSE(changes.may_have_changed(before, {{0, 100}}));
  CHECK(changes.may_have_changed(before, {{0, 100}, {far, far + 1}}));
  CHECK_FALSE(changes.may_have_changed(before, {{far, far}}));
  CHECK_FALSE(changes.may_have_changed(changes.last(), {{0, 2 * far}}));
}

TEST_CASE("a change is found behind any number of others", "[core][memory_changes]") {
  memory_changes changes;
  const auto at = [](std::uintptr_t i) { return std::vector<memory_range>{{100 * i, 100 * i + 50}}; };
  for (std::uintptr_t i = 0; i < 200; ++i) {
    changes.note(at(i), "move " + std::to_string(i));
  }
  std::vector<memory_range> every_piece;
  for (std::uintptr_t i = 0; i < (std::uintptr_t{1} << 20); ++i) {  // more than wait to be sorted in
    every_piece.push_back({100'000 + 100 * i, 100'000 + 100 * i + 50});
  }
  const std::uint64_t before = changes.last();
  changes.note(every_piece, "many");
  changes.note(at(7), "again");
  for (std::uintptr_t i = 0; i < 200; ++i) {
    CHECK(changes.call_since(0, at(i)) == (i == 7 ? "again" : "move " + std::to_string(i)));
    CHECK(changes.call_since(before, at(i)).has_value() == (i == 7));
  }
  CHECK(changes.call_since(before, {every_piece.back()}) == "many");
  CHECK_FALSE(changes.call_since(before, {{100'050, 100'100}}).has_value());
}
