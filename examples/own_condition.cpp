// A condition of one's own beside the library's: the source's cache is moved 100 positions further on before the target
// is read. Only distances count, so the model must go on as after the text.

#include <fmt/format.h>

#include "kvtransfer/experiment.hpp"
#include "kvtransfer/inject/prepend.hpp"
#include "kvtransfer/model/tokenizers/open_tokenizer.hpp"

using namespace kvtransfer;

struct moved_transfer {
  [[nodiscard]] condition_description describe() const {
    return {.id = "moved_transfer",
            .title = "Moved transfer",
            .injected = "the cache of BOS and the source, moved; the target is fed at the positions that follow",
            .tells = "whether a cache can be moved",
            .reference = "text_oracle",
            .must_equal_reference = true};
  }
  [[nodiscard]] std::optional<std::string> not_applicable(const prompt_ids&) const { return std::nullopt; }
  [[nodiscard]] std::int64_t tokens_needed(const prompt_ids& prompts, std::int64_t) const {
    return distance + count_of(prompts.whole());
  }
  [[nodiscard]] prepared_input prepare(prompt_caches& caches, const prompt_ids& prompts,
                                       const generation_config&) const {
    cache source(caches.prefill(ids_of(prompts.head)));
    source.shift(distance);
    source.materialize();
    return {prepend(source.view(), {ids_of(prompts.tail)}),
            joined(parts_of(prompts.head, true), parts_of(prompts.tail, false))};
  }

  std::int64_t distance = 100;
};

int main() {
  run_settings settings;
  settings.model = KVT_EXAMPLES_DIR "/models/lab-llama";
  const causal_lm model = causal_lm::open(settings.model, at::kCPU, at::kFloat);
  const prompt_encoding prompts{open_tokenizer(settings.model)};

  condition_registry known = condition_registry::standard();
  known.add(moved_transfer{});
  const auto conditions = known.parse("text_oracle,moved_transfer");
  const suite tests = read_suite(KVT_EXAMPLES_DIR "/phase2a/suites/phase2a.json");

  results run = planned_run(tests, conditions, settings, make_program_info(model, "none"),
                            make_model_info(model, settings.model));
  run_experiment(model, prompts, conditions, run);
  fmt::print("{}", report_terminal(run));

  for (const test_record& test : run.tests) {
    if (!compare_with_reference(test, *run.find_condition("moved_transfer"))->all_equal()) {
      return 1;
    }
  }
}
