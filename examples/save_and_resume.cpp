// Saves a prompt's cache with its frame, opens the file without reading it, and goes on from there: the same tokens.

#include <fmt/format.h>

#include <filesystem>

#include "kvtransfer/cache/file/cache_file.hpp"
#include "kvtransfer/cache/file/save_cache.hpp"
#include "kvtransfer/inject/prepend.hpp"
#include "kvtransfer/model/generate.hpp"
#include "kvtransfer/model/tokenizers/open_tokenizer.hpp"

int main(int argc, char** argv) {
  using namespace kvtransfer;
  const auto folder = KVT_EXAMPLES_DIR "/models/lab-llama";
  const std::filesystem::path path = argc > 1 ? argv[1] : "lyra.safetensors";
  const causal_lm model = causal_lm::open(folder, at::kCPU, at::kFloat);
  const any_tokenizer text = open_tokenizer(folder);
  const generation_config settings{.eos_token_ids = model.config.eos_token_ids};
  const auto question = text.encode("What is your name and where do you live?");

  cache source = prefill(model, {text.encode("Hello, my name is Lyra and I live in Seattle.")});
  const auto before = generate(model, prepend(source.view(), {question}), settings).sequences[0].token_ids;
  save_cache(path, source);

  const cache_file file = cache_file::open(path);          // maps it; keys and values stay on the disk
  const cache_view<> resumed = file.view(model.identity);  // another model's cache would be refused
  const auto after = generate(model, prepend(resumed, {question}), settings).sequences[0].token_ids;

  fmt::print("{} layers, next position {}, saved as {}\n{}\n{}\n", file.layers(), file.frame().next_position(),
             path.string(), text.decode(after), before == after ? "the same from the file" : "something else");
  return before == after ? 0 : 1;
}
