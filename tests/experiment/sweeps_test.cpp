#include "kvtransfer/experiment/sweeps.hpp"

#include <map>
#include <set>

#include "experiment/conditions/condition_check.hpp"
#include "kvtransfer/experiment/prompt_caches.hpp"
#include "kvtransfer/experiment/suite_prompts.hpp"
#include "kvtransfer/model/plan_logits.hpp"
#include "support/message.hpp"
#include "support/test.hpp"

using namespace kvtransfer;
using namespace kvtransfer::test;

namespace {

std::vector<any_condition> steps_of(const causal_lm& model, const std::string& list) {
  const sweep_registry sweeps = sweep_registry::standard();
  return sweeps.conditions(sweeps.parse(list), model.config, condition_registry::standard());
}

}  // namespace

TEST_CASE("every sweep has its steps, each once, both ways where it names a part", "[experiment][sweeps]") {
  const causal_lm model = small_model();  // 3 layers, 2 KV heads
  const std::map<std::string, std::size_t> counts{
      {"layers", 6},       {"layer_ranges", 2},       {"heads", 4},           {"halves", 4}, {"layer_halves", 12},
      {"layer_heads", 12}, {"layer_head_halves", 24}, {"position_error", 12}, {"dose", 10},  {"cache_precision", 2}};
  CHECK(counts.size() == sweep_registry::standard().names().size());
  for (const auto& [name, count] : counts) {
    INFO(name);
    std::set<std::string> ids;
    for (const any_condition& step : steps_of(model, name)) {
      const condition_description named = step.describe();
      ids.insert(named.id);
      CHECK(named.factors.at("sweep") == name);
    }
    CHECK(ids.size() == count);
  }
  const condition_description last = steps_of(model, "layer_head_halves").back().describe();
  CHECK(last.id == "transfer+without-heads:2.1:zero.values");
  CHECK(last.factors ==
        std::map<std::string, std::string>{
            {"sweep", "layer_head_halves"}, {"layer", "2"}, {"kv_head", "1"}, {"half", "values"}, {"way", "without"}});
}

TEST_CASE("every step of every sweep runs on a model", "[experiment][sweeps]") {
  const causal_lm model = small_model();
  prompt_caches caches(model);
  const at::Tensor whole = plan_logits(model, plan_of({ids_of(sample_prompts().whole())}))[0][12];
  const prompt_ids other = raw_prompts({sample_bos}, some_tokens(7, 40), sample_target());
  for (const std::string& name : sweep_registry::standard().names()) {
    for (const any_condition& step : steps_of(model, name)) {
      INFO(step.describe().id);
      const any_condition bound = step.within({&model, {sample_prompts(), other}});
      REQUIRE_FALSE(bound.not_applicable(sample_prompts()).has_value());
      const prepared_input read = bound.prepare(caches, sample_prompts(), {});
      CHECK(max_difference(plan_logits(model, read.input)[0][4], whole) > 1e-5);
    }
  }
}

TEST_CASE("an unknown sweep is refused with those that there are", "[experiment][sweeps]") {
  const std::string complaint = message_of<value_error>([] { (void)sweep_registry::standard().parse("layers,rows"); });
  CHECK(complaint.find("sweep: name: expected one of layers, layer_ranges, ") == 0);
  CHECK(complaint.find("got \"rows\"") != std::string::npos);
}
