#include "kvtransfer/experiment/condition_registry.hpp"

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
