#include "experiment/run/applicable_crossings.hpp"

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "kvtransfer/experiment/concepts.hpp"
#include "support/test.hpp"

using namespace kvtransfer;
using namespace kvtransfer::detail;

namespace {

using levels = std::map<std::string, std::string>;

/// A condition that can't run on the tests named.
struct picky_condition {
  condition_description named;
  std::map<std::string, std::string> why_not;

  [[nodiscard]] condition_description describe() const { return named; }
  [[nodiscard]] std::optional<std::string> not_applicable(const prompt_ids& prompts) const {
    const auto found = why_not.find(prompts.test);
    return found == why_not.end() ? std::nullopt : std::optional(found->second);
  }
  [[nodiscard]] std::int64_t tokens_needed(const prompt_ids&, std::int64_t) const { return 1; }
  [[nodiscard]] prepared_input prepare(prompt_caches&, const prompt_ids&, const generation_config&) const { return {}; }
};

/// A run of two tests, a and b, and a factorial of conditions that can't run on some.
struct picky_factorial {
  results run;
  factorial_conditions all;
  std::vector<ready_condition> ready;

  picky_factorial() {
    for (const char* name : {"a", "b"}) {
      test_record test;
      test.test.name = name;
      run.tests.push_back(test);
    }
  }

  void add(const levels& at, std::map<std::string, std::string> why_not = {}) {
    condition_description named;
    named.id = crossing_text(at);
    named.factors = at;
    std::vector<prompt_ids> prompts(2);
    prompts[0].test = "a";
    prompts[1].test = "b";
    all.conditions.push_back(picky_condition{named, std::move(why_not)});
    ready.push_back({all.conditions.back(), prompts});
  }

  [[nodiscard]] factorial_conditions applicable() const { return applicable_crossings(all, ready, run); }
};

std::vector<std::string> ids_of(const factorial_conditions& all) {
  std::vector<std::string> ids;
  for (const any_condition& each : all.conditions) {
    ids.push_back(each.describe().id);
  }
  return ids;
}

}  // namespace

TEST_CASE("a factor whose other levels can run nowhere is none, and each crossing left out says so",
          "[experiment][run]") {
  picky_factorial setup;
  setup.all.left_out.push_back({"bos=once, cache=none", "there is none"});
  setup.add({{"bos", "once"}, {"cache", "prompt"}});
  setup.add({{"bos", "once"}, {"cache", "generated"}});
  setup.add({{"bos", "second"}, {"cache", "prompt"}}, {{"a", "no BOS"}, {"b", "none here"}});
  setup.add({{"bos", "second"}, {"cache", "generated"}}, {{"a", "no BOS"}, {"b", "none here"}});
  const factorial_conditions left = setup.applicable();
  CHECK(ids_of(left) == std::vector<std::string>{"bos=once, cache=prompt", "bos=once, cache=generated"});
  REQUIRE(left.left_out.size() == 3);
  CHECK(left.left_out[0].reason == "there is none");
  CHECK(left.left_out[1] == left_out_crossing{"bos=second, cache=prompt", "no BOS; bos is no factor of this run"});
  CHECK(left.left_out[2].crossing == "bos=second, cache=generated");
}

TEST_CASE("a crossing that can run on one test stays", "[experiment][run]") {
  picky_factorial setup;
  setup.add({{"bos", "once"}});
  setup.add({{"bos", "second"}}, {{"a", "no BOS"}});
  CHECK(ids_of(setup.applicable()).size() == 2);
  CHECK(setup.applicable().left_out.empty());
}

TEST_CASE("a factor that loses one of three levels stays a factor", "[experiment][run]") {
  picky_factorial setup;
  setup.add({{"control", "none"}});
  setup.add({{"control", "zero"}});
  setup.add({{"control", "other_source"}}, {{"a", "one source"}, {"b", "one source"}});
  const factorial_conditions left = setup.applicable();
  CHECK(left.conditions.size() == 2);
  REQUIRE(left.left_out.size() == 1);
  CHECK(left.left_out[0] == left_out_crossing{"control=other_source", "one source"});
}
