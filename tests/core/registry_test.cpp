#include "kvtransfer/core/registry.hpp"

#include <functional>
#include <string>
#include <vector>

#include "support/message.hpp"
#include "support/test.hpp"

using namespace kvtransfer;
using namespace kvtransfer::test;

namespace {

using number_maker = std::function<int()>;

registry<number_maker> two_numbers() {
  registry<number_maker> numbers("numbers", "number");
  numbers.add("two", [] { return 2; });
  numbers.add("one", [] { return 1; });
  return numbers;
}

}  // namespace

TEST_CASE("a registry keeps what was added, in that order", "[core][registry]") {
  const registry<number_maker> numbers = two_numbers();
  CHECK(numbers.names() == std::vector<std::string>{"two", "one"});
  CHECK(numbers.size() == 2);
  CHECK(numbers.at("one")() == 1);
  CHECK(numbers.contains("two"));
  CHECK_FALSE(numbers.contains("three"));
  int sum = 0;
  for (const auto& each : numbers) {
    sum += each.make();
  }
  CHECK(sum == 3);
}

TEST_CASE("an unknown name is refused with the known ones", "[core][registry]") {
  CHECK(message_of<value_error>([] { return two_numbers().at("three"); }) ==
        "numbers: number: expected one of two, one, got \"three\"");
}

TEST_CASE("a name is given once", "[core][registry]") {
  registry<number_maker> numbers = two_numbers();
  CHECK(message_of<value_error>([&] { numbers.add("one", [] { return 11; }); }) ==
        "numbers: number: expected a name that is free, got \"one\"");
  CHECK_THROWS_AS(numbers.add("", [] { return 0; }), value_error);
  CHECK(numbers.at("one")() == 1);
}

TEST_CASE("adding to a copy leaves the original alone", "[core][registry]") {
  const registry<number_maker> numbers = two_numbers();
  registry<number_maker> more = numbers;
  more.add("three", [] { return 3; });
  CHECK(more.size() == 3);
  CHECK_FALSE(numbers.contains("three"));
}
