// A real model from a GGUF file, 4 bits, against what transformers makes of the same file.

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "kvtransfer/core/error.hpp"
#include "kvtransfer/core/json_file.hpp"
#include "kvtransfer/experiment/prompt_encoding.hpp"
#include "kvtransfer/experiment/records.hpp"
#include "kvtransfer/inject/noise.hpp"
#include "kvtransfer/inject/prepend.hpp"
#include "kvtransfer/model/generate.hpp"
#include "model/transformer_fixture.hpp"
#include "support/small_model.hpp"
#include "support/test.hpp"

using namespace kvtransfer;
using namespace kvtransfer::test;

namespace {

using id_list = std::vector<std::int64_t>;

/// The model in fp32 on the CPU, opened once; nothing where it has not been fetched.
const causal_lm* smollm2() {
  static const std::optional<causal_lm> opened = []() -> std::optional<causal_lm> {
    const char* const path = std::getenv("KVT_SMOLLM2_GGUF");
    if (path == nullptr || !std::filesystem::exists(path)) {
      WARN("skipped: KVT_SMOLLM2_GGUF does not name SmolLM2-135M-Instruct.Q4_1.gguf");
      return std::nullopt;
    }
    return causal_lm::open(path, at::kCPU, at::kFloat);
  }();
  return opened ? &*opened : nullptr;
}

prompt_encoding encoding_of(const std::string& form) {
  run_settings settings;
  settings.prompt_form = form;
  return open_prompt_encoding(std::getenv("KVT_SMOLLM2_GGUF"), settings, chat_format_registry::standard());
}

const nlohmann::json& fixture() {
  static const nlohmann::json read = read_json_object(model_fixtures() / "smollm2.json");
  return read;
}

id_list greedy_ids_of(const causal_lm& model, const plan& input) {
  return generate(model, input, {.max_new_tokens = 40, .eos_token_ids = model.config.eos_token_ids})
      .sequences.front()
      .token_ids;
}

/// Whether the logits after a plan, and what greedy decoding makes of it, are those of transformers.
void check_reading(const causal_lm& model, const plan& input, const nlohmann::json& expected) {
  const at::Tensor logits = session(model, input).logits()[0];
  const auto stride = fixture()["stride"].get<std::int64_t>();
  double difference = 0;
  for (std::size_t i = 0; i < expected["logits"].size(); ++i) {
    const double theirs = expected["logits"][i].get<double>();
    difference = std::max(difference, std::abs(logits[static_cast<std::int64_t>(i) * stride].item<double>() - theirs));
  }
  CHECK(difference < 1e-4 * expected["scale"].get<double>());
  CAPTURE(expected["margin"].get<double>());
  CHECK(greedy_ids_of(model, input) == expected["greedy"].get<id_list>());
}

bool says(const std::string& text, const std::string& word) { return text.find(word) != std::string::npos; }

}  // namespace

TEST_CASE("the real model's record says Q4_1, and codes are not quantized once more", "[model][smollm2]") {
  if (const causal_lm* const model = smollm2()) {
    CHECK(model->quantization == "Q4_1");
    CHECK_THROWS_AS(causal_lm::open(std::getenv("KVT_SMOLLM2_GGUF"), at::kCPU, at::kFloat, weight_quantization::nf4),
                    value_error);
  }
}

TEST_CASE("SmolLM2's prompts are the ids that its authors' tokenizer gives, raw and chat", "[model][smollm2]") {
  if (smollm2() == nullptr) {
    return;
  }
  const suite tests = read_suite(KVT_SOURCE_DIR "/examples/phase2a/suites/phase2a.json");
  REQUIRE(fixture()["cases"].size() == 2 * tests.tests.size());
  for (std::size_t i = 0; i < fixture()["cases"].size(); ++i) {
    const nlohmann::json& expected = fixture()["cases"][i];
    const prompt_ids prompts = encode_prompts(encoding_of(expected["form"].get<std::string>()), tests.tests[i / 2]);
    CHECK(ids_of(prompts.opening) == expected["opening"].get<id_list>());
    CHECK(ids_of(prompts.head) == expected["head"].get<id_list>());
    CHECK(ids_of(prompts.tail) == expected["tail"].get<id_list>());
  }
}

TEST_CASE("SmolLM2 scores and continues as in transformers, with an injected and a moved cache too",
          "[model][smollm2]") {
  const causal_lm* const model = smollm2();
  if (model == nullptr) {
    return;
  }
  const auto gap = fixture()["gap"].get<std::int64_t>();
  for (const nlohmann::json& expected : fixture()["cases"]) {
    CAPTURE(expected["test"].get<std::string>(), expected["form"].get<std::string>());
    const auto head = expected["head"].get<id_list>();
    const auto tail = expected["tail"].get<id_list>();
    check_reading(*model, plan_of({joined(expected["opening"].get<id_list>(), tail)}), expected["alone"]);
    check_reading(*model, plan_of({joined(head, tail)}), expected["whole"]);
    cache source = prefill(*model, {head});
    check_reading(*model, prepend(source.view(), {tail}), expected["whole"]);
    source.shift(700);
    source.shift(-400);
    source.materialize();
    check_reading(*model, prepend(source.view(), {tail}, place::gap{gap}), expected["gap"]);
  }
}

TEST_CASE("in a chat with SmolLM2 what only the source says comes through its cache alone", "[model][smollm2]") {
  const causal_lm* const model = smollm2();
  if (model == nullptr) {
    return;
  }
  const suite tests = read_suite(KVT_SOURCE_DIR "/examples/phase2a/suites/phase2a.json");
  const prompt_encoding encoding = encoding_of("chat");
  const prompt_ids prompts = encode_prompts(encoding, tests.tests.front());
  const cache source = prefill(*model, {ids_of(prompts.head)});
  const auto said = [&](const plan& input) { return encoding.tokens.decode(greedy_ids_of(*model, input)); };
  const std::string transferred = said(prepend(source.view(), {ids_of(prompts.tail)}));
  CHECK(says(transferred, "Lyra"));
  CHECK(says(transferred, "Seattle"));
  const cache random = moment_matched_noise(source.view(), 0);
  for (const std::string& control :
       {said(plan_of({ids_of(prompts.alone())})), said(prepend(random.view(), {ids_of(prompts.tail)}))}) {
    CHECK_FALSE(says(control, "Lyra"));
    CHECK_FALSE(says(control, "Seattle"));
  }
}
