#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "kvtransfer/tensor/safetensors.hpp"

namespace kvtransfer::test {

/// A small random model folder and what transformers computes on it; `make_fixtures.py` says exactly what and how.
struct transformer_fixture {
  std::filesystem::path folder;  ///< as read_model_config and load_weights take it

  at::Tensor prompt_ids;     // [P], int64
  at::Tensor prompt_logits;  // [P, vocab_size], fp32
  std::vector<std::int64_t> prompt_greedy;

  at::Tensor source_ids;       // [S], the text whose cache is injected, from position 0 on
  at::Tensor target_ids;       // [Q], runs onto that cache
  at::Tensor injected_logits;  // [Q, vocab_size], target at position S
  std::vector<std::int64_t> injected_greedy;

  std::int64_t gap = 0;   ///< tokens
  at::Tensor gap_logits;  // [Q, vocab_size], target at position S + gap
  std::vector<std::int64_t> gap_greedy;

  at::Tensor batch_ids;                     // [B, L], padded on the left with 0
  std::vector<std::int64_t> batch_lengths;  ///< tokens of text in each row
  at::Tensor batch_logits;                  // [B, vocab_size], of every row's last token
  at::Tensor batch_greedy;                  // [B, T]
};

/// What a folder of `architectures/` has beside; `make_architecture_fixtures.py` says what.
struct architecture_fixture : transformer_fixture {
  std::int64_t moved = 0;  ///< tokens: source and target both stand that much further back
  at::Tensor moved_logits;
  std::vector<std::int64_t> moved_greedy;
  at::Tensor beyond_ids;  // [L], longer than every window
  at::Tensor beyond_logits;
};

inline std::vector<std::int64_t> to_list(const at::Tensor& ids) {
  const at::Tensor dense = ids.contiguous();
  const auto* first = dense.const_data_ptr<std::int64_t>();
  return {first, first + dense.numel()};
}

inline std::filesystem::path model_fixtures() { return std::filesystem::path(KVT_SOURCE_DIR) / "tests/model/fixtures"; }

/// A folder of each architecture but Llama.
inline std::vector<std::string> architecture_fixture_names() {
  std::vector<std::string> names;
  for (const char* name : {"mistral", "qwen2", "qwen3", "phi3", "gemma2", "gemma3", "gemma3-with-images", "smollm3"}) {
    names.push_back(std::string("architectures/") + name);
  }
  return names;
}

/// Folders of different shapes, spellings and types of storage, those of the architectures included.
inline std::vector<std::string> transformer_fixture_names() {
  std::vector<std::string> names = {"gqa-tied-fp32", "mha-biased-fp16", "wide-heads-bf16-sharded", "llama3-scaled-fp32",
                                    "mistral-fp16"};
  for (std::string& name : architecture_fixture_names()) {
    names.push_back(std::move(name));
  }
  return names;
}

/// Reads what every folder has.
inline void read_expected(transformer_fixture& fixture, const std::string& name) {
  fixture.folder = model_fixtures() / name;
  const safetensors_file file = safetensors_file::open(fixture.folder / "expected.safetensors");
  fixture.prompt_ids = file.tensor("prompt.ids");
  fixture.prompt_logits = file.tensor("prompt.logits");
  fixture.prompt_greedy = to_list(file.tensor("prompt.greedy"));
  fixture.source_ids = file.tensor("source.ids");
  fixture.target_ids = file.tensor("target.ids");
  fixture.injected_logits = file.tensor("injected.logits");
  fixture.injected_greedy = to_list(file.tensor("injected.greedy"));
  fixture.gap = to_list(file.tensor("gap")).front();
  fixture.gap_logits = file.tensor("gap.logits");
  fixture.gap_greedy = to_list(file.tensor("gap.greedy"));
  fixture.batch_ids = file.tensor("batch.ids");
  fixture.batch_lengths = to_list(file.tensor("batch.lengths"));
  fixture.batch_logits = file.tensor("batch.logits");
  fixture.batch_greedy = file.tensor("batch.greedy");
}

inline transformer_fixture read_transformer_fixture(const std::string& name) {
  transformer_fixture fixture;
  read_expected(fixture, name);
  return fixture;
}

inline architecture_fixture read_architecture_fixture(const std::string& name) {
  architecture_fixture fixture;
  read_expected(fixture, name);
  const safetensors_file file = safetensors_file::open(fixture.folder / "expected.safetensors");
  fixture.moved = to_list(file.tensor("moved")).front();
  fixture.moved_logits = file.tensor("moved.logits");
  fixture.moved_greedy = to_list(file.tensor("moved.greedy"));
  fixture.beyond_ids = file.tensor("beyond.ids");
  fixture.beyond_logits = file.tensor("beyond.logits");
  return fixture;
}

}  // namespace kvtransfer::test
