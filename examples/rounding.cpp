// What moving again and again costs in bfloat16: keys and loss after many moves by one, and after many evictions that
// close the gap. A move in place rounds every key, and roundings add up, with a bias where the step is small; moves
// that stay pending round once, when keys are read.
//
//   rounding [MODEL] [--moves 3000] [--evictions 1000] [--budget 64]
//
// Errors are of the worst layer, against the same moves of the same keys in float64, and beside that of a single move;
// the loss is the mean of -log p over the text that is read afterwards (moves), or over the last half of it
// (evictions). Exit status 1 where pending moves cost more than twice what one move does.

#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/linalg_vector_norm.h>
#include <ATen/ops/log_softmax.h>
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdint>
#include <exception>
#include <string>
#include <utility>
#include <vector>

#include "kvtransfer/cache/concat.hpp"
#include "kvtransfer/cache/gather.hpp"
#include "kvtransfer/cache/with_dtype.hpp"
#include "kvtransfer/core/json_file.hpp"
#include "kvtransfer/inject/prepend.hpp"
#include "kvtransfer/model/generate.hpp"
#include "kvtransfer/model/plan_logits.hpp"
#include "kvtransfer/model/tokenizers/open_tokenizer.hpp"
#include "phase2a/model_path.hpp"
#include "phase2a/passive_waiting.hpp"

using namespace kvtransfer;

namespace {

constexpr std::int64_t sinks = 4;  // the first tokens stay: attention rests on them
constexpr const char* source = "Hello, my name is Lyra and I live in Seattle. The capital of France is Paris.";
constexpr const char* afterwards = " Water boils at 100 degrees Celsius at sea level. What is your name?";

/// When keys are moved.
enum class moving { when_read, in_place_each_time };

/// A line of the table. Errors are relative ones of keys, after all moves and after a single one.
struct row {
  std::string what;
  std::int64_t roundings = 0;
  double error = 0;
  double single = 0;
  double loss = 0;
};

/// A cache and the same in float64, moved and cut alike.
struct beside_exact {
  cache kept;
  cache exact;

  explicit beside_exact(cache written) : kept(std::move(written)), exact(with_dtype(kept.view(), at::kDouble)) {}

  /// The worst layer's relative error of `found`, which stands where the exact keys do.
  [[nodiscard]] double error_of(const cache& found) const {
    double worst = 0;
    for (std::int64_t layer = 0; layer < exact.layers(); ++layer) {
      const at::Tensor right = exact.view().layer(layer).keys();
      const at::Tensor off = found.view().layer(layer).keys().to(at::kDouble) - right;
      worst = std::max(worst, (at::linalg_vector_norm(off) / at::linalg_vector_norm(right)).item<double>());
    }
    return worst;
  }

  template <class Change>
  void change(Change&& change, moving when) {
    change(kept);
    change(exact);
    if (when == moving::in_place_each_time) {
      kept.materialize();
    }
  }
};

/// -log p of `id` by the logits `[vocab_size]` in front of it.
double loss_of(const at::Tensor& logits, std::int64_t id) {
  return -at::log_softmax(logits.to(at::kFloat), -1)[id].item<double>();
}

/// The mean loss of `ids` behind `kv`, the first of them given.
double loss_behind(const causal_lm& model, const cache& kv, const std::vector<std::int64_t>& ids) {
  const at::Tensor logits = plan_logits(model, prepend(kv.view(), {ids}))[0];
  double sum = 0;
  for (std::size_t i = 1; i < ids.size(); ++i) {
    sum += loss_of(logits[static_cast<std::int64_t>(i) - 1], ids[i]);
  }
  return sum / static_cast<double>(ids.size() - 1);
}

/// `moves` moves by one, then a text is read.
row after_moves(const causal_lm& model, const any_tokenizer& text, std::int64_t moves, moving when, std::string what) {
  beside_exact both(prefill(model, {encode_whole(text, source)}));
  cache once = both.kept.clone();
  for (std::int64_t i = 0; i < moves; ++i) {
    both.change([](cache& keys) { keys.shift(1); }, when);
  }
  once.shift(moves);
  once.materialize();
  return {std::move(what), both.kept.view().frame().roundings(), both.error_of(both.kept), both.error_of(once),
          loss_behind(model, both.kept, text.encode(afterwards))};
}

/// The last slot of `all`, which the model has just written: no move has rounded it, whatever became of the others.
cache newest(const cache& all) {
  const cache_view<> last = all.view().slice(all.length() - 1, all.length());
  std::vector<at::Tensor> keys;
  std::vector<at::Tensor> values;
  for (std::int64_t layer = 0; layer < last.layers(); ++layer) {
    keys.push_back(last.layer(layer).keys().clone());
    values.push_back(last.layer(layer).values().clone());
  }
  return cache(std::move(keys), std::move(values), last.frame().with_roundings(0), as_written);
}

/// `ids` read one by one; beyond `budget` each pushes one out, and the gap is closed.
/// @param single what one move costs, where that is known; else it is measured
row after_evictions(const causal_lm& model, const std::vector<std::int64_t>& ids, std::int64_t budget, moving when,
                    double single, std::string what) {
  beside_exact both(prefill(model, {{ids.begin(), ids.begin() + budget}}));
  std::vector<std::int64_t> staying;
  for (std::int64_t slot = 0; slot <= budget; ++slot) {
    if (slot != sinks) {
      staying.push_back(slot);
    }
  }
  double loss = 0;
  std::int64_t counted = 0;
  for (std::size_t read = static_cast<std::size_t>(budget); read + 1 < ids.size(); ++read) {
    session running(model, prepend(both.kept.view(), {{ids[read]}}));
    if (2 * (read - static_cast<std::size_t>(budget)) >= ids.size() - static_cast<std::size_t>(budget)) {
      loss += loss_of(running.logits()[0], ids[read + 1]);
      ++counted;
    }
    const cache all =
        std::move(running).release();  // whose new slot alone is taken: the others were rotated to be read
    const cache added = newest(all);
    both.kept = concat(both.kept.view(), added.view());
    both.exact = concat(both.exact.view(), with_dtype(added.view(), at::kDouble).view());
    both.change(
        [&](cache& keys) {
          keys = gather(keys.view(), staying);
          keys.close_gaps();
        },
        when);
  }
  if (single == 0) {
    cache once = both.kept.clone();
    once.materialize();
    single = both.error_of(once);
  }
  return {std::move(what), both.kept.view().frame().roundings(), both.error_of(both.kept), single,
          loss / static_cast<double>(counted)};
}

int run(const std::string& name, std::int64_t moves, std::int64_t evictions, std::int64_t budget) {
  const std::filesystem::path path = phase2a::model_path(name, KVT_EXAMPLES_DIR "/models");
  causal_lm model = causal_lm::open(path, at::kCPU, at::kBFloat16);
  // Further than it was trained for, perhaps: only the differences of positions are seen.
  model.config.max_position_embeddings = std::max(model.config.max_position_embeddings, moves + 1024);
  const any_tokenizer text = open_tokenizer(path);
  std::vector<std::int64_t> streamed = encode_whole(text, read_text(KVT_EXAMPLES_DIR "/../README.md"));
  streamed.resize(std::min(streamed.size(), static_cast<std::size_t>(budget + evictions + 1)));
  evictions = static_cast<std::int64_t>(streamed.size()) - budget - 1;

  const auto waiting = moving::when_read;
  const auto in_place = moving::in_place_each_time;
  const std::string moved = fmt::format("{} moves by 1, ", moves);
  const std::string evicted = fmt::format("{} evictions closing the gap, ", evictions);
  std::vector<row> rows{after_moves(model, text, moves, waiting, moved + "pending"),
                        after_moves(model, text, moves, in_place, moved + "each in place"),
                        after_evictions(model, streamed, budget, waiting, 0, evicted + "pending")};
  rows.push_back(after_evictions(model, streamed, budget, in_place, rows[2].single, evicted + "each in place"));

  fmt::print("{:<52} {:>9} {:>9} {:>9} {:>7}\n", "bfloat16", "roundings", "key error", "x single", "loss");
  fmt::print("{:<52} {:>9} {:>9} {:>9} {:>7.4f}\n", "not moved", 0, "", "",
             after_moves(model, text, 0, waiting, "").loss);
  for (const row& each : rows) {
    fmt::print("{:<52} {:>9} {:>9.1e} {:>9.2f} {:>7.4f}\n", each.what, each.roundings, each.error,
               each.error / each.single, each.loss);
  }
  const bool once = rows[0].error <= 2 * rows[0].single && rows[2].error <= 2 * rows[2].single;
  return once ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
  std::string model = "lab-llama";
  std::int64_t moves = 3000;
  std::int64_t evictions = 1000;
  std::int64_t budget = 64;
  CLI::App app("What moving again and again costs in bfloat16.", "rounding");
  app.add_option("model", model, "Model folder, GGUF file, or name of a model in examples/models")
      ->capture_default_str();
  app.add_option("--moves", moves, "Moves by one token")->check(CLI::PositiveNumber)->capture_default_str();
  app.add_option("--evictions", evictions, "Tokens evicted, one after another")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  app.add_option("--budget", budget, "Tokens in the cache")->check(CLI::Range(8, 4096))->capture_default_str();
  CLI11_PARSE(app, argc, argv);
  try {
    phase2a::wait_passively(argv);
    return run(model, moves, evictions, budget);
  } catch (const std::exception& complaint) {
    fmt::print(stderr, "rounding: {}\n", complaint.what());
    return 2;
  }
}
