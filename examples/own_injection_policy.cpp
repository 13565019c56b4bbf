// An injection policy of one's own, beside the library's: composed with them by `|` and said on the command line with
// them. No edit of the library.
//
//   own_injection_policy [POLICY]        as in own_injection_policy faded:2+gap:4
//
// "faded" lets a source fade out: the last layers of the model read it with its values scaled down, layer by layer.
// What it changes is an edit of the frame, as everything that changes numbers has to be.

#include <ATen/core/Tensor.h>
#include <fmt/format.h>

#include <cstdint>
#include <string>
#include <vector>

#include "kvtransfer/cache/edited.hpp"
#include "kvtransfer/inject/injection_policy_registry.hpp"
#include "kvtransfer/inject/prepend.hpp"
#include "kvtransfer/model/causal_lm.hpp"
#include "kvtransfer/model/generate.hpp"
#include "kvtransfer/model/tokenizers/open_tokenizer.hpp"

using namespace kvtransfer;

namespace {

struct faded {
  std::int64_t last_layers = 1;

  [[nodiscard]] policy_kind kind() const { return policy_kind::composes; }
  [[nodiscard]] std::string text() const { return fmt::format("faded:{}", last_layers); }

  [[nodiscard]] injection apply(const injection& what) const {
    const std::int64_t layers = what.kv.layers();
    require<value_error>(last_layers <= layers, text(), "layers", fmt::format("{} at most", layers),
                         fmt::format("{}", last_layers));
    std::vector<at::Tensor> keys;
    std::vector<at::Tensor> values;
    cache_edit edit{edit_kind::other, cache_half::values, {}, {}, {}, "faded"};
    for (std::int64_t i = 0; i < layers; ++i) {
      const std::int64_t steps = i - (layers - last_layers) + 1;  // the first of them is read at half strength
      keys.push_back(what.kv.layer(i).keys());
      values.push_back(steps > 0 ? what.kv.layer(i).values().div(steps + 1) : what.kv.layer(i).values());
      if (steps > 0) {
        edit.layers.push_back(i);
      }
    }
    injection changed = what;
    changed.kv = edited(what.kv, keys, values, edit).view();
    return changed;
  }
};

static_assert(InjectionPolicy<faded>);

}  // namespace

int main(int count, char** arguments) {
  injection_policy_registry known = injection_policy_registry::standard();
  known.add("faded", "faded:2", [](const policy_arguments& given) {
    given.require_count(1, 1);
    return faded{given.number(0, 1)};
  });
  const std::string text = count > 1 ? arguments[1] : "without-tokens:0+faded:2+gap:4";
  try {
    const any_injection_policy policy = known.parse(text);

    const auto folder = KVT_EXAMPLES_DIR "/models/lab-llama";
    const causal_lm model = causal_lm::open(folder, at::kCPU, at::kFloat);
    const any_tokenizer words = open_tokenizer(folder);
    const cache source = prefill(model, {words.encode("Hello, my name is Lyra and I live in Seattle.")});
    injection_context context;
    context.q_heads = model.config.q_heads;
    const plan input =
        prepend(injection(source.view(), context) | policy, {words.encode("What is your name and where do you live?")});

    const auto answer =
        generate(model, input, {.max_new_tokens = 20, .eos_token_ids = model.config.eos_token_ids}).sequences[0];
    fmt::print("{}: {}\n", describe(policy), words.decode(answer.token_ids));
    for (const cache_edit& edit : input.edits()) {
      fmt::print("  {}\n", describe(edit));
    }
    return describe(known.parse(describe(policy))) == describe(policy) ? 0 : 1;
  } catch (const error& refused) {
    fmt::print(stderr, "{}\n", refused.what());
    return 2;
  }
}
