// A position policy of one's own: where the text stands that is read behind a cache. No edit of the library.
//
// "aligned" begins at the next multiple of a block, as an engine does that hands out positions block by block. A causal
// RoPE model sees differences alone, so what it makes of the gap is a question to put to it; here both answers are
// printed.

#include <fmt/format.h>

#include <cstdint>
#include <string_view>

#include "kvtransfer/inject/prepend.hpp"
#include "kvtransfer/model/causal_lm.hpp"
#include "kvtransfer/model/generate.hpp"
#include "kvtransfer/model/tokenizers/open_tokenizer.hpp"

namespace {

struct aligned {
  static constexpr std::string_view name = "aligned";
  std::int64_t block = 16;  // tokens

  [[nodiscard]] kvtransfer::position_row place(const kvtransfer::position_row& source, std::int64_t count) const {
    const std::int64_t next = source.last_position().value_or(-1) + 1;
    return kvtransfer::position_row::consecutive((next + block - 1) / block * block, count);
  }
};

static_assert(kvtransfer::PositionPolicy<aligned>);

}  // namespace

int main() {
  using namespace kvtransfer;
  const auto folder = KVT_EXAMPLES_DIR "/models/lab-llama";
  const causal_lm model = causal_lm::open(folder, at::kCPU, at::kFloat);
  const any_tokenizer text = open_tokenizer(folder);
  const generation_config settings{.eos_token_ids = model.config.eos_token_ids};
  const auto question = text.encode("What is your name and where do you live?");
  const cache source = prefill(model, {text.encode("Hello, my name is Lyra and I live in Seattle.")});

  const plan after = prepend(source.view(), {question});
  const plan in_blocks = prepend(source.view(), {question}, aligned{});
  const auto first_position = [](const plan& input) { return input.positions.row(0, 0, 0).positions().front(); };
  for (const plan& input : {after, in_blocks}) {
    const auto answer = generate(model, input, settings).sequences[0].token_ids;
    fmt::print("the question from {} on: {}\n", first_position(input), text.decode(answer));
  }
  return first_position(in_blocks) % 16 == 0 && first_position(in_blocks) >= first_position(after) ? 0 : 1;
}
