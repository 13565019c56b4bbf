#include "kvtransfer/core/alike.hpp"

#include <memory>
#include <string>

#include "support/test.hpp"

using namespace kvtransfer;

namespace {

const std::vector<std::string> kinds = {"local", "global", "local", "none", "global"};

bool same_kind(std::size_t a, std::size_t b) { return kinds[a] == kinds[b]; }

}  // namespace

TEST_CASE("indices that are alike are one group, in the order of their firsts", "[core][alike]") {
  CHECK(alike_groups(5, same_kind) == std::vector<std::vector<std::size_t>>{{0, 2}, {1, 4}, {3}});
  CHECK(alike_groups(0, same_kind).empty());
}

TEST_CASE("what is made for one is shared by those that are like it", "[core][alike]") {
  std::vector<std::size_t> made_for;
  const auto made = make_for_alike(5, same_kind, [&](std::size_t i) {
    made_for.push_back(i);
    return std::make_shared<std::string>(kinds[i]);
  });
  CHECK(made_for == std::vector<std::size_t>{0, 1, 3});
  REQUIRE(made.size() == 5);
  CHECK(made[0] == made[2]);
  CHECK(made[1] == made[4]);
  CHECK(*made[3] == "none");
}
