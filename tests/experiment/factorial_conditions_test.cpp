#include "kvtransfer/experiment/factorial_conditions.hpp"

#include <set>

#include "kvtransfer/experiment/conditions.hpp"
#include "support/message.hpp"
#include "support/test.hpp"

using namespace kvtransfer;
using namespace kvtransfer::test;

namespace {

const condition_registry& crossed_conditions() {
  static const condition_registry registry = condition_registry::standard();
  return registry;
}

factorial_conditions factorial(const std::string& list) {
  return full_factorial(parse_factors(list, crossed_conditions()), crossed_conditions());
}

std::string complaint_about_factors(const std::string& list) {
  return message_of<value_error>([&] { parse_factors(list, crossed_conditions()); });
}

}  // namespace

TEST_CASE("a factorial has every crossing once, with its levels", "[experiment][factorial_conditions]") {
  const factorial_conditions all = factorial("bos,cache");
  REQUIRE(all.conditions.size() == 6);
  CHECK(all.left_out.empty());
  CHECK(all.conditions[0].describe().id == "transfer");
  CHECK(all.conditions[0].describe().must_equal_reference);
  CHECK(all.conditions[5].describe().id == "transfer+cache:generated_eos+second_bos");
  CHECK(all.conditions[5].describe().factors ==
        std::map<std::string, std::string>{{"bos", "second"}, {"cache", "generated_eos"}});
  std::set<std::string> ids;
  for (const any_condition& each : all.conditions) {
    ids.insert(each.describe().id);
  }
  CHECK(ids.size() == 6);
}

TEST_CASE("crossings that mean nothing are left out and listed with their reason",
          "[experiment][factorial_conditions]") {
  const factorial_conditions all = factorial("keys,position,visible");
  CHECK(all.conditions.size() + all.left_out.size() == 18);
  // Un-rotated or re-rotated keys that nobody sees, three positions each; re-rotated keys whose text stands at 0, seen.
  REQUIRE(all.left_out.size() == 7);
  CHECK(all.left_out.front().crossing == "keys=unrotated, position=offset, visible=hidden");
  CHECK(all.left_out.front().reason == "nothing of the cache is seen, so it does not matter what it holds");
}

TEST_CASE("whose cache is taken is a factor", "[experiment][factorial_conditions]") {
  const factorial_conditions all = factorial("prompt,cache:prompt/generated,control:none/other_source");
  REQUIRE(all.conditions.size() == 6);
  CHECK(all.conditions[4].describe().id == "transfer+prompt:target");
  CHECK(all.conditions[4].describe().reference == "baseline");
  CHECK(all.conditions[5].describe().id == "transfer+prompt:target+cache:generated");
  REQUIRE(all.left_out.size() == 2);
  CHECK(all.left_out[0].crossing == "cache=prompt, control=other_source, prompt=target");
  CHECK(all.left_out[0].reason == "the cache is the target's own, for which nothing of another source stands in");
}

TEST_CASE("levels may be policies of the factor's kind", "[experiment][factorial_conditions]") {
  const factorial_conditions all = factorial("select:all/layers:0,2/keys+tokens:1-4,position:offset/gap:3");
  REQUIRE(all.conditions.size() == 6);
  CHECK(all.conditions[3].describe().id == "transfer+layers:0,2+gap:3");
  CHECK(all.conditions[4].describe().id == "transfer+keys+tokens:1-4");
  const factorial_conditions averaged = factorial("select:all/average:target,other,bos");
  REQUIRE(averaged.conditions.size() == 4);
  CHECK(averaged.conditions[3].describe().id == "transfer+average:target,other+second_bos");
}

TEST_CASE("a wrong factor or level is refused with its place and what would be right",
          "[experiment][factorial_conditions]") {
  CHECK(complaint_about_factors("bos,colour") ==
        "factors \"bos,colour\": character 5: expected one of bos, prompt, cache, position, keys, select, visible, "
        "control, "
        "cache_precision, form, got \"colour\"");
  CHECK(complaint_about_factors("cache:prompt/later") ==
        "factors \"cache:prompt/later\": character 14: expected of cache one of prompt/generated/generated_eos, got "
        "\"later\"");
  CHECK(complaint_about_factors("position:offset/unrotated").find("character 17") != std::string::npos);
  CHECK(complaint_about_factors("bos,bos").find("every factor once") != std::string::npos);
  CHECK(complaint_about_factors("bos:once/once").find("every level once") != std::string::npos);
  CHECK(complaint_about_factors("select").find("two levels or more") != std::string::npos);
  CHECK(complaint_about_factors("bos:second").find("two levels or more") != std::string::npos);
  CHECK(complaint_about_factors("select:all/average:target,othr").find("got \"othr\"") != std::string::npos);
  CHECK_FALSE(complaint_about_factors("").empty());
  CHECK_FALSE(complaint_about_factors("bos,").empty());
  CHECK_FALSE(complaint_about_factors("select:all/nonsense").empty());
}

TEST_CASE("two lists of conditions are one, with what both say of a condition", "[experiment][factorial_conditions]") {
  const std::vector<any_condition> both =
      united(crossed_conditions().parse("baseline,transfer"), factorial("bos").conditions);
  REQUIRE(both.size() == 3);
  CHECK(both[1].describe().id == "transfer");
  CHECK(both[1].describe().factors == std::map<std::string, std::string>{{"bos", "once"}});
  CHECK(both[2].describe().id == "transfer+second_bos");
}
