// Moves a prompt's cache 100 positions further on and proves it: the model goes on as if nothing had happened.

#include <fmt/format.h>

#include "kvtransfer/inject/prepend.hpp"
#include "kvtransfer/model/generate.hpp"
#include "kvtransfer/model/tokenizers/open_tokenizer.hpp"

int main() {
  using namespace kvtransfer;
  const auto folder = KVT_EXAMPLES_DIR "/models/lab-llama";
  const causal_lm model = causal_lm::open(folder, at::kCPU, at::kFloat);
  const any_tokenizer text = open_tokenizer(folder);
  const generation_config settings{.eos_token_ids = model.config.eos_token_ids};
  const auto question = text.encode("What is your name and where do you live?");

  cache source = prefill(model, {text.encode("Hello, my name is Lyra and I live in Seattle.")});
  const auto here = generate(model, prepend(source.view(), {question}), settings).sequences[0].token_ids;
  source.shift(100);     // asked for: any number of moves costs one rotation
  source.materialize();  // done: keys rotated by the difference, values untouched
  const auto there = generate(model, prepend(source.view(), {question}), settings).sequences[0].token_ids;

  fmt::print("{}\n{}\n", text.decode(here),
             here == there ? "the same from 100 positions further on" : "something else");
  return here == there ? 0 : 1;
}
