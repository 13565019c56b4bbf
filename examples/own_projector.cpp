// A projector of one's own: what one cache says, made of another. No edit of the library.
//
// "towards" goes a part of the way from the receiver's keys and values to the source's. Between two texts of one model
// that is a question to put to it: from which part on does it answer by the other text?

#include <fmt/format.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "kvtransfer/inject/prepend.hpp"
#include "kvtransfer/model/causal_lm.hpp"
#include "kvtransfer/model/generate.hpp"
#include "kvtransfer/model/tokenizers/open_tokenizer.hpp"
#include "kvtransfer/project/project.hpp"

namespace {

struct towards {
  static constexpr std::string_view name = "towards";
  double part = 0;  // 0: the receiver as it is; 1: the source
  std::int64_t depth = 0;

  [[nodiscard]] kvtransfer::projection_effect effect() const { return kvtransfer::projection_effect::adds; }
  [[nodiscard]] kvtransfer::key_rotation rotation() const { return kvtransfer::key_rotation::unrotated; }
  [[nodiscard]] std::int64_t layers() const { return depth; }
  [[nodiscard]] std::vector<std::int64_t> source_layers(std::int64_t layer) const { return {layer}; }
  [[nodiscard]] kvtransfer::layer_kv project(std::int64_t, const kvtransfer::projection_input& input) const {
    const kvtransfer::layer_kv& source = input.source.front();
    return {source.keys.sub(input.receiver.keys).mul(part), source.values.sub(input.receiver.values).mul(part)};
  }
  [[nodiscard]] std::string digest() const { return fmt::format("{}", part); }
};

static_assert(kvtransfer::Projector<towards>);

}  // namespace

int main() {
  using namespace kvtransfer;
  const auto folder = KVT_EXAMPLES_DIR "/models/lab-llama";
  const causal_lm model = causal_lm::open(folder, at::kCPU, at::kFloat);
  const any_tokenizer text = open_tokenizer(folder);
  const generation_config settings{.eos_token_ids = model.config.eos_token_ids};
  const auto source_ids = text.encode("Hello, my name is Lyra and I live in Seattle.");
  auto receiver_ids =
      text.encode("The weather is fine today. Hello, my name is Tom and I live in Paris, near the river.");
  receiver_ids.resize(source_ids.size());  // slot by slot, so as many tokens
  const auto question = text.encode("What is your name and where do you live?");
  const cache source = prefill(model, {source_ids});
  const cache receiver = prefill(model, {receiver_ids});

  const auto answer_after = [&](const cache_view<>& context) {
    return text.decode(generate(model, prepend(context, {question}), settings).sequences[0].token_ids);
  };
  std::vector<std::string> answers;
  for (const double part : {0.0, 0.5, 1.0}) {
    const cache mixed = project(towards{part, source.layers()}, source.view(), receiver.view());
    answers.push_back(answer_after(mixed.view()));
    fmt::print("{:.0f} % of the way: {}\n", 100 * part, answers.back());
    const cache_view<> view = mixed.view();
    for (const cache_edit& edit : view.frame().edits()) {
      fmt::print("  {}\n", describe(edit));
    }
  }
  const bool ends_agree =
      answers.front() == answer_after(receiver.view()) && answers.back() == answer_after(source.view());
  return ends_agree ? 0 : 1;
}
