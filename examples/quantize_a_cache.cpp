// Keeps a prompt's cache in 4 bits, moves it a hundred times, and shows what that costs: nothing while the moves wait,
// a second rounding where the codes themselves are moved, one for every time that they are.

#include <ATen/TensorOperators.h>
#include <ATen/ops/linalg_vector_norm.h>
#include <fmt/format.h>

#include <cmath>
#include <cstdint>
#include <string_view>

#include "kvtransfer/cache/quantized/quantize_cache.hpp"
#include "kvtransfer/inject/prepend.hpp"
#include "kvtransfer/model/generate.hpp"
#include "kvtransfer/model/tokenizers/open_tokenizer.hpp"

using namespace kvtransfer;

namespace {

/// How far the keys of `kv` are from those of `truth`, relative to their length, over all layers.
double key_error(const cache& kv, const cache& truth) {
  double difference = 0;
  double length = 0;
  for (std::int64_t i = 0; i < truth.layers(); ++i) {
    const at::Tensor keys = truth.view().layer(i).keys();
    difference += at::linalg_vector_norm(kv.view().layer(i).keys() - keys).pow(2).item<double>();
    length += at::linalg_vector_norm(keys).pow(2).item<double>();
  }
  return std::sqrt(difference / length);
}

}  // namespace

int main() {
  const auto folder = KVT_EXAMPLES_DIR "/models/lab-llama";
  const causal_lm model = causal_lm::open(folder, at::kCPU, at::kFloat);
  const any_tokenizer text = open_tokenizer(folder);
  const generation_config settings{.eos_token_ids = model.config.eos_token_ids};
  const auto question = text.encode("What is your name and where do you live?");
  const auto answer = [&](const cache& kv) {
    return generate(model, prepend(kv.view(), {question}), settings).sequences[0].token_ids;
  };

  cache plain = prefill(model, {text.encode("Hello, my name is Lyra and I live in Seattle.")});
  const auto expected = answer(plain);
  quantized_cache waiting = quantize(plain.view(), kivi_keys(4), kivi_values(4));
  quantized_cache once = waiting.clone();
  quantized_cache each_time = waiting.clone();
  fmt::print("{}\n", text.decode(expected));
  const auto report = [&](std::string_view how, const quantized_cache& kv) {
    const cache read = kv.dequantize();
    fmt::print("{:<38} keys off by {:.1f} %, {}\n", how, 100 * key_error(read, plain),
               answer(read) == expected ? "the same answer" : "another answer");
    return answer(read) == expected;
  };
  report("4 bits, not moved", waiting);
  for (int i = 0; i < 100; ++i) {
    waiting.shift(1);
    once.shift(1);
    each_time.shift(1);
    each_time.materialize();
  }
  plain.shift(100);
  plain.materialize();
  once.materialize();
  const bool same = report("100 moves that wait", waiting);
  report("100 moves, codes moved once", once);
  report("100 moves, codes moved at every one", each_time);
  return same ? 0 : 1;
}
