#include "kvtransfer/core/memory_changes.hpp"

#include "support/test.hpp"

using namespace kvtransfer;

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

TEST_CASE("a change of nothing is a change of no memory", "[core][memory_changes]") {
  memory_changes changes;
  CHECK(changes.note({{5, 5}}, "nothing") == 1);
  CHECK_FALSE(changes.call_since(0, {{0, 10}}).has_value());
}
