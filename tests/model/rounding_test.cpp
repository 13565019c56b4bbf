// What moving again and again costs the lab model in bfloat16: examples/rounding.cpp prints it for any model.

#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/linalg_vector_norm.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <filesystem>
#include <utility>
#include <vector>

#include "kvtransfer/cache/borrowed_cache.hpp"
#include "kvtransfer/cache/concat.hpp"
#include "kvtransfer/cache/convert.hpp"
#include "kvtransfer/cache/gather.hpp"
#include "kvtransfer/cache/with_dtype.hpp"
#include "kvtransfer/inject/prepend.hpp"
#include "kvtransfer/model/causal_lm.hpp"
#include "kvtransfer/model/generate.hpp"
#include "kvtransfer/model/score.hpp"
#include "kvtransfer/model/session.hpp"
#include "kvtransfer/model/tokenizers/open_tokenizer.hpp"
#include "support/test.hpp"

using namespace kvtransfer;

namespace {

const std::filesystem::path folder_of_lab = std::filesystem::path(KVT_SOURCE_DIR) / "examples/models/lab-llama";

causal_lm lab_in_bfloat16() {
  causal_lm model = causal_lm::open(folder_of_lab, at::kCPU, at::kBFloat16);
  model.config.max_position_embeddings = 8192;  // further than it was trained for: only differences are seen
  return model;
}

/// The worst layer's relative error of keys that stand where the exact ones do.
double key_error(const cache_view<>& found, const cache_view<>& exact) {
  double worst = 0;
  for (std::int64_t layer = 0; layer < exact.layers(); ++layer) {
    const at::Tensor right = exact.layer(layer).keys();
    const at::Tensor off = found.layer(layer).keys().to(at::kDouble) - right;
    worst = std::max(worst, (at::linalg_vector_norm(off) / at::linalg_vector_norm(right)).item<double>());
  }
  return worst;
}

/// The last slot of what a session leaves: the model has just written it, so no move has rounded it.
cache newest_slot(const cache& all) {
  const cache_view<> last = all.view().slice(all.length() - 1, all.length());
  std::vector<at::Tensor> keys;
  std::vector<at::Tensor> values;
  for (std::int64_t layer = 0; layer < last.layers(); ++layer) {
    keys.push_back(last.layer(layer).keys().clone());
    values.push_back(last.layer(layer).values().clone());
  }
  return cache(std::move(keys), std::move(values), last.frame().with_roundings(0), as_written);
}

/// The mean of -log p over `text`, read behind `kv`.
double mean_loss_behind(const causal_lm& model, const cache_view<>& kv, const std::vector<std::int64_t>& text) {
  const std::vector<std::int64_t> rest(text.begin() + 1, text.end());
  return -score(model, prepend(kv, {{text.front()}}), rest).total() / static_cast<double>(rest.size());
}

}  // namespace

TEST_CASE("three thousand moves by one cost the lab model's keys one rounding in bfloat16, and its text nothing",
          "[model][rounding][lab]") {
  const causal_lm model = lab_in_bfloat16();
  const any_tokenizer text = open_tokenizer(folder_of_lab);
  const std::vector<std::int64_t> after = text.encode(" What is your name? Where do you live?");
  const cache written = prefill(model, {encode_whole(text, "Hello, my name is Lyra and I live in Seattle.")});
  const double before = mean_loss_behind(model, written.view(), after);
  cache moved = written.clone();
  cache exact = with_dtype(written.view(), at::kDouble);
  cache once = written.clone();
  borrowed_cache in_place(convert<layouts::batch_heads_seq_dim>(written.view()));
  for (int move = 0; move < 3000; ++move) {
    moved.shift(1);
    exact.shift(1);
    in_place.shift(1);
    if (move % 100 == 0) {
      (void)moved.view().layer(0).keys();  // as a model would read them meanwhile
    }
  }
  once.shift(3000);
  once.materialize();
  const double single = key_error(once.view(), exact.view());
  CHECK(moved.view().frame().roundings() == 1);
  CHECK(key_error(moved.view(), exact.view()) <= 2 * single);
  CHECK(std::abs(mean_loss_behind(model, moved.view(), after) - before) < 0.05);
  const double drifted = key_error(in_place.view(), exact.view());
  CHECK(drifted > 20 * single);  // or the test could not tell
  CHECK(drifted <= in_place.frame().rounding_bound() * single);
}

TEST_CASE("a thousand evictions that close the gap cost the lab model's keys one rounding in bfloat16",
          "[model][rounding][lab]") {
  constexpr std::int64_t budget = 24;
  constexpr std::int64_t sinks = 4;  // the first tokens stay: attention rests on them
  constexpr std::size_t evictions = 1000;
  const causal_lm model = lab_in_bfloat16();
  const any_tokenizer text = open_tokenizer(folder_of_lab);
  std::vector<std::int64_t> ids = encode_whole(text, "In Wendor, the king is Tarvo and the river is blue.");
  for (std::size_t i = 1; ids.size() < budget + evictions; ++i) {
    ids.push_back(ids[i]);
  }
  std::vector<std::int64_t> staying;
  for (std::int64_t slot = 0; slot <= budget; ++slot) {
    if (slot != sinks) {
      staying.push_back(slot);
    }
  }
  cache kept = prefill(model, {{ids.begin(), ids.begin() + budget}});
  cache exact = with_dtype(kept.view(), at::kDouble);
  for (std::size_t read = budget; read < budget + evictions; ++read) {
    const cache all = session(model, prepend(kept.view(), {{ids[read]}})).release();
    const cache added = newest_slot(all);
    kept = gather(concat(kept.view(), added.view()).view(), staying);
    exact = gather(concat(exact.view(), with_dtype(added.view(), at::kDouble).view()).view(), staying);
    kept.close_gaps();
    exact.close_gaps();
  }
  cache once = kept.clone();
  once.materialize();
  CHECK(kept.view().frame().roundings() == 1);
  CHECK(kept.target().layer(0).positions == position_map::consecutive(0, budget));
  CHECK(key_error(kept.view(), exact.view()) <= 2 * key_error(once.view(), exact.view()));
  CHECK(key_error(kept.view(), exact.view()) < 3e-3);  // bfloat16 rounds to 1.7e-3 of a key's length
}
