// A condition of one's own beside the library's, in the whole matrix: the source's cache is moved 100 positions further
// on before the target is read. Only distances count, so the model must go on as after the text.

#include <fmt/format.h>

#include <filesystem>

#include "kvtransfer/experiment.hpp"
#include "kvtransfer/inject/prepend.hpp"

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
  matrix_registries known;
  known.conditions.add(moved_transfer{});
  matrix_arguments arguments;
  arguments.conditions = "text_oracle,moved_transfer";
  arguments.settings.device = "cpu";  // in float32: equality of tokens is claimed there
  arguments.settings.model = KVT_EXAMPLES_DIR "/models/lab-llama";
  arguments.settings.suite = KVT_EXAMPLES_DIR "/phase2a/suites/phase2a.json";
  arguments.settings.output = "own_condition_results";
  std::filesystem::remove_all(arguments.settings.output);  // an earlier run's would be renamed and stay
  const results run = run_matrix(known, arguments);
  fmt::print("{}", report_terminal(run));
  for (const test_record& test : run.tests) {
    if (!compare_with_reference(test, *run.find_condition("moved_transfer"))->all_equal()) {
      return 1;
    }
  }
}
