// Models opened from GGUF files against folders, as transformers keeps them, of the same weights and configuration.

#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "kvtransfer/core/json_file.hpp"
#include "kvtransfer/inject/prepend.hpp"
#include "kvtransfer/model/causal_lm.hpp"
#include "kvtransfer/model/generate.hpp"
#include "kvtransfer/model/plan_logits.hpp"
#include "model/weights/gguf_bytes.hpp"
#include "support/in_frame.hpp"
#include "support/temporary_folder.hpp"
#include "support/tensors.hpp"
#include "support/test.hpp"

using namespace kvtransfer;
using kvtransfer::test::gguf_fixtures;

namespace {

/// The cache, taken for one of `model`'s.
cache of_same_weights(const cache& written, const causal_lm& model) {
  cache_frame frame = written.stored();
  frame.set_origin(assume_same_weights(frame.origin(), model.identity));
  return test::in_frame(written, std::move(frame));
}

}  // namespace

TEST_CASE("a GGUF file of each architecture computes what a folder of its weights does", "[model][gguf]") {
  const nlohmann::json configs = read_json_object(gguf_fixtures() + "configs.json");
  for (const char* name : {"llama", "qwen2", "qwen3", "gemma2", "gemma3", "phi3", "smollm3"}) {
    CAPTURE(name);
    const test::temporary_folder folder;
    folder.put("config.json", configs.at(name).dump());
    std::filesystem::copy_file(gguf_fixtures() + name + ".safetensors", folder.path() / "model.safetensors");
    const causal_lm by_folder = causal_lm::open(folder.path(), at::kCPU, at::kFloat);
    const causal_lm by_file = causal_lm::open(gguf_fixtures() + name + ".gguf", at::kCPU, at::kFloat);
    CHECK(by_file.quantization == "none");  // matrices of 16 bits
    CHECK((by_file.config.attention == by_folder.config.attention));

    std::vector<std::int64_t> text;
    for (std::int64_t i = 0; i < 30; ++i) {  // beyond every window
      text.push_back((i * i * 7 + i * 13 + 5) % by_file.config.vocab_size);
    }
    const at::Tensor expected = plan_logits(by_folder, plan_of({text}));
    const double scale = expected.abs().max().item<double>();
    CHECK(test::max_difference(expected, plan_logits(by_file, plan_of({text}))) < 1e-6 * scale);

    // A cache of one continues in the other, whose weights are stored in another way: its keys are in transformers'
    // pairing.
    const cache written = prefill(by_file, {{text.begin(), text.begin() + 20}});
    const std::vector<std::int64_t> behind(text.begin() + 20, text.end());
    CHECK_THROWS_AS(plan_logits(by_folder, prepend(written.view(), {behind})), frame_error);
    const at::Tensor rest = plan_logits(by_folder, prepend(of_same_weights(written, by_folder).view(), {behind}));
    CHECK(test::max_difference(expected.slice(1, 20), rest) < 1e-5 * scale);
  }
}
