#include "kvtransfer/experiment/condition_registry.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cstdint>
#include <random>
#include <string>
#include <vector>

#include "experiment/conditions/condition_check.hpp"
#include "support/message.hpp"
#include "support/test.hpp"

using namespace kvtransfer;
using namespace kvtransfer::test;

namespace {

std::vector<std::string> ids_of(const std::vector<any_condition>& conditions) {
  std::vector<std::string> ids;
  for (const any_condition& condition : conditions) {
    ids.push_back(condition.describe().id);
  }
  return ids;
}

}  // namespace

TEST_CASE("the standard registry has the seven conditions and the controls in the order of the table",
          "[experiment][condition_registry]") {
  const std::vector<std::string> seven = {
      "baseline", "text_oracle", "same_cache", "noise", "transfer", "as_reported_same_cache", "as_reported_transfer"};
  const std::vector<std::string> controls = {"oracle_split",    "other_source",    "zero",           "noise_sink_kept",
                                             "shuffled_tokens", "shuffled_layers", "shuffled_heads", "shuffled_slots"};
  std::vector<std::string> all = seven;
  all.insert(all.end(), controls.begin(), controls.end());
  const condition_registry registry = condition_registry::standard();
  CHECK(registry.ids() == all);
  CHECK(registry.spellings().back() == "from_files:DIR");
  CHECK(ids_of(registry.parse("all")) == all);
  CHECK(ids_of(registry.parse("matrix")) == seven);
  CHECK(ids_of(registry.parse("controls,zero,transfer")).size() == 9);
}

TEST_CASE("a list of conditions is read in any order, each once", "[experiment][condition_registry]") {
  CHECK(ids_of(condition_registry::standard().parse("transfer,baseline,transfer")) ==
        std::vector<std::string>{"baseline", "transfer"});
}

TEST_CASE("an unknown or empty name is refused with the known ones", "[experiment][condition_registry]") {
  const auto complaint = [](const char* list) {
    return message_of<value_error>([&] { condition_registry::standard().parse(list); });
  };
  CHECK(complaint("transfers") ==
        "conditions: name: expected all, matrix, controls, or some of baseline, text_oracle, same_cache, noise, "
        "transfer, "
        "as_reported_same_cache, as_reported_transfer, oracle_split, other_source, zero, noise_sink_kept, "
        "shuffled_tokens, shuffled_layers, shuffled_heads, shuffled_slots, projected:FOLDER[@MODEL], "
        "projected_other_source:FOLDER[@MODEL], projected_zero:FOLDER[@MODEL], projected_noise:FOLDER[@MODEL], "
        "from_files:DIR, got \"transfers\"");
  for (const char* list : {"", "baseline,", ",baseline", "baseline, transfer"}) {
    CHECK_FALSE(complaint(list).empty());
  }
}

TEST_CASE("commas inside policies are told from those of the list", "[experiment][condition_registry]") {
  const condition_registry known = condition_registry::standard();
  using list = std::vector<std::string>;
  CHECK(ids_of(known.parse("transfer+average:target,other,baseline")) ==
        list{"baseline", "transfer+average:target,other"});
  CHECK(ids_of(known.parse("transfer+average:target,other+gap:2,zero")) ==
        list{"transfer+average:target,other+gap:2", "zero"});
  CHECK(ids_of(known.parse("zero,transfer+average:target,other")) == list{"transfer+average:target,other", "zero"});
  CHECK(ids_of(known.parse("transfer+average:zero,target")) == list{"transfer+average:zero,target"});
  CHECK(ids_of(known.parse("transfer+layers:0,2,zero,noise+tokens:0-3,7")) ==
        list{"noise+tokens:0-3,7", "transfer+layers:0,2", "zero"});
  CHECK(ids_of(known.parse("from_files:/caches,baseline")) == list{"baseline", "from_files:/caches"});
  CHECK(ids_of(known.parse("transfer+average:target,controls")).size() == 9);
}

TEST_CASE("a comma that may be a policy's or the list's is refused with its place",
          "[experiment][condition_registry]") {
  const auto complaint = [](const std::string& text) {
    return message_of<value_error>([&] { condition_registry::standard().parse(text); });
  };
  CHECK(
      complaint("baseline,transfer+average:target,zero") ==
      "conditions \"baseline,transfer+average:target,zero\": character 34: expected one reading: \"zero\" in front of "
      "\"transfer+average:target\" where it is a condition of its own, in front of the names that it is listed with "
      "where it belongs to them, got \"zero\", which may be either");
  CHECK(complaint("transfer+average:other,zero+keys").find("character 24") != std::string::npos);
  CHECK(complaint("from_files:/caches,oracle").find("got \"oracle\"") != std::string::npos);
  CHECK(complaint("transfer+keys,oracle").find("got \"oracle\"") != std::string::npos);
  CHECK(complaint("transfer+average:target,othr") ==
        message_of<value_error>([] { injection_policy_registry::standard().parse("average:target,othr"); }));
}

TEST_CASE("200 random lists are read as the conditions that they are made of", "[experiment][condition_registry]") {
  const std::vector<std::string> items{"baseline",
                                       "zero",
                                       "other_source",
                                       "noise+tokens:0-3,7",
                                       "transfer+average:target,other",
                                       "transfer+average:zero,other,target+layers:0,2",
                                       "transfer+keys",
                                       "transfer+layers:1",
                                       "transfer+blend:0.5:other"};
  const condition_registry known = condition_registry::standard();
  std::mt19937_64 draws(1);
  int read = 0;
  for (int round = 0; round < 200; ++round) {
    std::vector<std::string> chosen;
    for (std::uint64_t i = 0; i <= draws() % 5; ++i) {
      chosen.push_back(items[draws() % items.size()]);
    }
    const std::string list = fmt::format("{}", fmt::join(chosen, ","));
    CAPTURE(list);
    if (list.find("average:target,other,zero") != list.npos) {  // a condition, or the third of the policy's donors
      CHECK_THROWS_AS(known.parse(list), value_error);
      continue;
    }
    std::vector<std::string> found = ids_of(known.parse(list));
    std::ranges::sort(found);
    std::ranges::sort(chosen);
    chosen.erase(std::unique(chosen.begin(), chosen.end()), chosen.end());
    CHECK(found == chosen);
    ++read;
  }
  CHECK(read > 50);
}

TEST_CASE("every reference and every reconstructed column is a condition of the registry",
          "[experiment][condition_registry]") {
  const std::vector<std::string> ids = condition_registry::standard().ids();
  const auto known = [&](const std::optional<std::string>& id) {
    return !id || std::find(ids.begin(), ids.end(), *id) != ids.end();
  };
  for (const any_condition& condition : condition_registry::standard().parse("all")) {
    CHECK(known(condition.describe().reference));
    CHECK(known(condition.describe().reconstructs));
    CHECK(condition.describe().reconstructs.has_value() == !condition.describe().mistake.empty());
  }
}

TEST_CASE("a condition of one's own joins the registry and runs", "[experiment][condition_registry]") {
  condition_registry registry = condition_registry::standard();
  registry.add(target_twice{});
  const any_condition own = registry.parse("target_twice").front();
  const prompt_ids prompts = sample_prompts();
  CHECK(said_under(own, small_model(), prompts, {.max_new_tokens = 5}) ==
        said_after(small_model(), joined(sample_target(), sample_target()), {.max_new_tokens = 5}));
  CHECK_THROWS_AS(registry.add(target_twice{}), value_error);
}
