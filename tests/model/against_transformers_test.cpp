// Logits and greedy tokens of committed model folders against what transformers computed on them (make_fixtures.py).

#include "kvtransfer/inject/prepend.hpp"
#include "kvtransfer/model/causal_logits.hpp"
#include "kvtransfer/model/generate.hpp"
#include "kvtransfer/model/plan_logits.hpp"
#include "model/transformer_fixture.hpp"
#include "support/small_model.hpp"
#include "support/test.hpp"

using namespace kvtransfer;
using namespace kvtransfer::test;

namespace {

/// The largest difference relative to the largest expected logit.
double relative_difference(const at::Tensor& expected, const at::Tensor& got) {
  return max_difference(expected, got) / expected.abs().max().item<double>();
}

std::vector<std::vector<std::int64_t>> continuations(const causal_lm& model, const plan& input, std::size_t tokens) {
  std::vector<std::vector<std::int64_t>> rows;
  for (const completion& row :
       generate(model, input, {.max_new_tokens = static_cast<std::int64_t>(tokens)}).sequences) {
    rows.push_back(row.token_ids);
  }
  return rows;
}

/// Calls `check(model, fixture)` for every committed folder, on the CPU in fp32 and, where `device` says so, on a GPU.
template <class Check>
void for_each_folder(at::Device device, Check&& check) {
  for (const std::string& name : transformer_fixture_names()) {
    INFO(name);
    const transformer_fixture fixture = read_transformer_fixture(name);
    check(causal_lm::open(fixture.folder, device, at::kFloat), fixture);
  }
}

std::vector<std::vector<std::int64_t>> batch_rows(const transformer_fixture& fixture) {
  std::vector<std::vector<std::int64_t>> rows;
  for (std::size_t row = 0; row < fixture.batch_lengths.size(); ++row) {
    const at::Tensor ids = fixture.batch_ids[static_cast<std::int64_t>(row)];
    rows.push_back(to_list(ids.slice(0, ids.numel() - fixture.batch_lengths[row])));
  }
  return rows;
}

/// The texts of rows that are padded on the left.
std::vector<std::vector<std::int64_t>> unpadded(const at::Tensor& ids, const at::Tensor& lengths) {
  std::vector<std::vector<std::int64_t>> rows;
  for (std::int64_t row = 0; row < ids.size(0); ++row) {
    rows.push_back(to_list(ids[row].slice(0, ids.size(1) - lengths[row].item<std::int64_t>())));
  }
  return rows;
}

/// Folders with rows.safetensors: one of each architecture, and Llama's scaled frequencies.
std::vector<std::string> row_fixture_names() {
  std::vector<std::string> names = architecture_fixture_names();
  names.insert(names.begin(), {"gqa-tied-fp32", "llama3-scaled-fp32"});
  return names;
}

void check_prompt(const causal_lm& model, const transformer_fixture& fixture) {
  const plan input = plan_of({to_list(fixture.prompt_ids)});
  CHECK(relative_difference(fixture.prompt_logits, plan_logits(model, input)[0]) < 1e-4);
  CHECK(continuations(model, input, fixture.prompt_greedy.size())[0] == fixture.prompt_greedy);
}

void check_injection(const causal_lm& model, const transformer_fixture& fixture) {
  const cache source = prefill(model, {to_list(fixture.source_ids)});
  const auto target = to_list(fixture.target_ids);
  const plan offset = prepend(source.view(), {target});
  CHECK(relative_difference(fixture.injected_logits, plan_logits(model, offset)[0]) < 1e-4);
  CHECK(continuations(model, offset, fixture.injected_greedy.size())[0] == fixture.injected_greedy);
  const plan apart = prepend(source.view(), {target}, place::gap{fixture.gap});
  CHECK(relative_difference(fixture.gap_logits, plan_logits(model, apart)[0]) < 1e-4);
  CHECK(continuations(model, apart, fixture.gap_greedy.size())[0] == fixture.gap_greedy);
}

void check_batch(const causal_lm& model, const transformer_fixture& fixture) {
  const plan input = plan_of(batch_rows(fixture));
  CHECK(relative_difference(fixture.batch_logits, session(model, input).logits()) < 1e-4);
  const auto rows = continuations(model, input, static_cast<std::size_t>(fixture.batch_greedy.size(1)));
  for (std::size_t row = 0; row < rows.size(); ++row) {
    CHECK(rows[row] == to_list(fixture.batch_greedy[static_cast<std::int64_t>(row)]));
  }
}

void check_everything(const causal_lm& model, const transformer_fixture& fixture) {
  check_prompt(model, fixture);
  check_injection(model, fixture);
  check_batch(model, fixture);
}

}  // namespace

TEST_CASE("prompts score and continue as in transformers", "[model][transformers]") {
  for_each_folder(at::kCPU, check_prompt);
}

TEST_CASE("targets after an injected cache score and continue as in transformers", "[model][transformers]") {
  for_each_folder(at::kCPU, check_injection);
}

TEST_CASE("batches of unequal rows score and continue as in transformers", "[model][transformers]") {
  for_each_folder(at::kCPU, check_batch);
}

TEST_CASE("a position off by one changes what these models say", "[model][transformers]") {
  for_each_folder(at::kCPU, [](const causal_lm& model, const transformer_fixture& fixture) {
    const cache source = prefill(model, {to_list(fixture.source_ids)});
    const plan wrong = prepend(source.view(), {to_list(fixture.target_ids)}, place::gap{1});
    CHECK(continuations(model, wrong, fixture.injected_greedy.size())[0] != fixture.injected_greedy);
  });
}

TEST_CASE("every architecture reads a moved cache as transformers reads one written there", "[model][transformers]") {
  for (const std::string& name : architecture_fixture_names()) {
    INFO(name);
    const architecture_fixture fixture = read_architecture_fixture(name);
    const causal_lm model = causal_lm::open(fixture.folder, at::kCPU, at::kFloat);
    cache source = prefill(model, {to_list(fixture.source_ids)});
    source.shift(fixture.moved);
    source.materialize();
    const plan input = prepend(source.view(), {to_list(fixture.target_ids)});
    CHECK(relative_difference(fixture.moved_logits, plan_logits(model, input)[0]) < 1e-4);
    CHECK(continuations(model, input, fixture.moved_greedy.size())[0] == fixture.moved_greedy);
  }
}

TEST_CASE("every architecture scores a text beyond its windows as transformers does, with and without a cache",
          "[model][transformers]") {
  for (const std::string& name : architecture_fixture_names()) {
    INFO(name);
    const architecture_fixture fixture = read_architecture_fixture(name);
    const causal_lm model = causal_lm::open(fixture.folder, at::kCPU, at::kFloat);
    const plan input = plan_of({to_list(fixture.beyond_ids)});
    CHECK(relative_difference(fixture.beyond_logits, plan_logits(model, input)[0]) < 1e-4);
    const at::Tensor alone = causal_logits(model.config, model.weights, fixture.beyond_ids.unsqueeze(0));
    CHECK(relative_difference(fixture.beyond_logits, alone[0]) < 1e-4);
  }
}

TEST_CASE("unequal rows go on from an injected and a moved cache as each does alone in transformers, past the windows",
          "[model][transformers]") {
  for (const std::string& name : row_fixture_names()) {
    const safetensors_file expected = safetensors_file::open(model_fixtures() / name / "rows.safetensors");
    const causal_lm model = causal_lm::open(model_fixtures() / name, at::kCPU, at::kFloat);
    const auto sources = unpadded(expected.tensor("source.ids"), expected.tensor("source.lengths"));
    const auto targets = unpadded(expected.tensor("target.ids"), expected.tensor("target.lengths"));
    cache source = prefill(model, sources);
    for (const std::string part : {"injected", "moved"}) {
      CAPTURE(name, part);
      if (part == "moved") {
        source.shift(expected.tensor("moved").item<std::int64_t>());
        source.materialize();
      }
      const plan input = prepend(source.view(), targets);
      CHECK(relative_difference(expected.tensor(part + ".logits"), session(model, input).logits()) < 1e-4);
      const at::Tensor greedy = expected.tensor(part + ".greedy");
      const auto rows = continuations(model, input, static_cast<std::size_t>(greedy.size(1)));
      for (std::size_t row = 0; row < rows.size(); ++row) {
        CHECK(rows[row] == to_list(greedy[static_cast<std::int64_t>(row)]));
      }
    }
  }
}

TEST_CASE("where LongRoPE changes in mid-text, cached keys keep their frequencies as in a forward pass of transformers",
          "[model][transformers]") {
  const auto folder = model_fixtures() / "architectures/phi3";
  const safetensors_file expected = safetensors_file::open(folder / "crossing.safetensors");
  const causal_lm model = causal_lm::open(folder, at::kCPU, at::kFloat);
  std::vector<std::int64_t> text = to_list(expected.tensor("ids"));
  const auto greedy = to_list(expected.tensor("greedy"));
  CHECK(continuations(model, plan_of({text}), greedy.size())[0] == greedy);
  // transformers' generate reads the text anew where it gets longer than the model's first context.
  const auto generated = to_list(expected.tensor("generated"));
  const std::size_t kept = 64 + 1 - text.size();
  text.insert(text.end(), generated.begin(), generated.begin() + static_cast<std::ptrdiff_t>(kept));
  const std::vector<std::int64_t> rest(generated.begin() + static_cast<std::ptrdiff_t>(kept), generated.end());
  CHECK(continuations(model, plan_of({text}), rest.size())[0] == rest);
}

TEST_CASE("a GPU scores and continues as transformers did on the CPU", "[model][transformers][cuda]") {
  if (cuda_available()) {
    for_each_folder(at::kCUDA, check_everything);
  }
}
