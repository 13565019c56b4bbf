// The model that ships: what transformers computes on it, and the invariants on real text.

#include <fstream>
#include <nlohmann/json.hpp>
#include <string>

#include "kvtransfer/inject/noise.hpp"
#include "kvtransfer/inject/prepend.hpp"
#include "kvtransfer/model/generate.hpp"
#include "kvtransfer/model/tokenizers/open_tokenizer.hpp"
#include "kvtransfer/tensor/safetensors.hpp"
#include "model/transformer_fixture.hpp"
#include "support/small_model.hpp"
#include "support/test.hpp"

using namespace kvtransfer;
using namespace kvtransfer::test;

namespace {

const std::filesystem::path lab_folder = std::filesystem::path(KVT_SOURCE_DIR) / "examples/models/lab-llama";
constexpr std::int64_t bos = 1;

/// One test of the built-in suite, as ids, with what transformers makes of it.
struct lab_case {
  std::vector<std::int64_t> source;
  std::vector<std::int64_t> target;
  at::Tensor baseline_logits;
  at::Tensor oracle_logits;
  std::vector<std::int64_t> baseline;
  std::vector<std::int64_t> oracle;
};

std::vector<lab_case> lab_cases() {
  const safetensors_file file = safetensors_file::open(model_fixtures() / "lab_llama.safetensors");
  std::vector<lab_case> cases;
  for (int i = 0; i < 5; ++i) {
    const std::string name = std::to_string(i);
    cases.push_back({to_list(file.tensor(name + ".source")), to_list(file.tensor(name + ".target")),
                     file.tensor(name + ".baseline.logits"), file.tensor(name + ".oracle.logits"),
                     to_list(file.tensor(name + ".baseline.greedy")), to_list(file.tensor(name + ".oracle.greedy"))});
  }
  return cases;
}

std::vector<std::int64_t> greedy_answer(const causal_lm& model, const plan& input) {
  return generate(model, input, {.max_new_tokens = 40, .eos_token_ids = model.config.eos_token_ids})
      .sequences[0]
      .token_ids;
}

cache source_cache(const causal_lm& model, const lab_case& one) { return prefill(model, {joined({bos}, one.source)}); }

void check_against_transformers(const causal_lm& model) {
  for (const lab_case& one : lab_cases()) {
    const auto alone = joined({bos}, one.target);
    const auto whole = joined(joined({bos}, one.source), one.target);
    CHECK(max_difference(session(model, plan_of({alone})).logits()[0], one.baseline_logits) < 1e-4);
    CHECK(max_difference(session(model, plan_of({whole})).logits()[0], one.oracle_logits) < 1e-4);
    CHECK(greedy_answer(model, plan_of({alone})) == one.baseline);
    CHECK(greedy_answer(model, plan_of({whole})) == one.oracle);
    CHECK(greedy_answer(model, prepend(source_cache(model, one).view(), {one.target})) == one.oracle);
  }
}

}  // namespace

TEST_CASE("the lab model scores and continues as in transformers, injected too", "[model][lab]") {
  check_against_transformers(causal_lm::open(lab_folder, at::kCPU, at::kFloat));
}

TEST_CASE("the lab model on a GPU says what transformers said on the CPU", "[model][lab][cuda]") {
  if (cuda_available()) {
    check_against_transformers(causal_lm::open(lab_folder, at::kCUDA, at::kFloat));
  }
}

TEST_CASE("the suite's prompts are the ids that transformers encodes", "[model][lab]") {
  const any_tokenizer text = open_tokenizer(lab_folder);
  std::ifstream file(std::filesystem::path(KVT_SOURCE_DIR) / "examples/phase2a/suites/phase2a.json");
  const auto tests = nlohmann::json::parse(file).at("tests");
  const auto cases = lab_cases();
  for (std::size_t i = 0; i < cases.size(); ++i) {
    CHECK(text.encode(tests[i].at("source").get<std::string>()) == cases[i].source);
    CHECK(text.encode(tests[i].at("target").get<std::string>()) == cases[i].target);
  }
}

TEST_CASE("self-injection on the lab model is the baseline", "[model][lab][invariants]") {
  const causal_lm model = causal_lm::open(lab_folder, at::kCPU, at::kFloat);
  for (const lab_case& one : lab_cases()) {
    auto prompt = joined({bos}, one.target);
    const std::int64_t last = prompt.back();
    prompt.pop_back();
    CHECK(greedy_answer(model, prepend(prefill(model, {prompt}).view(), {{last}})) == one.baseline);
  }
}

TEST_CASE("a shifted source answers as the unshifted one", "[model][lab][invariants]") {
  const causal_lm model = causal_lm::open(lab_folder, at::kCPU, at::kFloat);
  for (const lab_case& one : lab_cases()) {
    cache source = source_cache(model, one);
    source.shift(500);
    source.shift(-100);
    source.materialize();
    CHECK(greedy_answer(model, prepend(source.view(), {one.target})) == one.oracle);
  }
}

TEST_CASE("all five transfers in one batch of unequal rows say what each says alone", "[model][lab][invariants]") {
  const causal_lm model = causal_lm::open(lab_folder, at::kCPU, at::kFloat);
  std::vector<std::vector<std::int64_t>> sources;
  std::vector<std::vector<std::int64_t>> targets;
  for (const lab_case& one : lab_cases()) {
    sources.push_back(joined({bos}, one.source));
    targets.push_back(one.target);
  }
  const cache all = prefill(model, sources);
  const auto together = generate(model, prepend(all.view(), targets),
                                 {.max_new_tokens = 40, .eos_token_ids = model.config.eos_token_ids});
  for (std::size_t i = 0; i < targets.size(); ++i) {
    CHECK(together.sequences[i].token_ids == lab_cases()[i].oracle);
  }
}

TEST_CASE("noise in place of the source does not answer the question", "[model][lab]") {
  const causal_lm model = causal_lm::open(lab_folder, at::kCPU, at::kFloat);
  const lab_case one = lab_cases().front();
  const cache source = source_cache(model, one);
  CHECK(greedy_answer(model, prepend(moment_matched_noise(source.view(), 0).view(), {one.target})) != one.oracle);
}
