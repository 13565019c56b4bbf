#include "model/score_many.hpp"

#include <ATen/core/grad_mode.h>
#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "kvtransfer/core/error.hpp"
#include "kvtransfer/model/score.hpp"
#include "model/checked_plan.hpp"
#include "model/free_memory.hpp"
#include "model/lack_of_memory.hpp"
#include "model/plan_checks.hpp"
#include "model/prefix_reader.hpp"
#include "model/sequence_batch.hpp"
#include "model/with_continuations.hpp"

namespace kvtransfer::detail {

namespace {

/// Logits that one pass may give: passes of some hundred tokens take little longer than larger ones, and less memory.
constexpr std::int64_t most_logits = std::int64_t{1} << 25;
/// Plans that one pass may read.
constexpr std::int64_t most_plans = 64;

/// A plan that reads its continuation too.
struct waiting_plan {
  std::size_t index;
  std::int64_t asked;
  checked_plan read;
};

/// The size of a batch of the first `count` plans.
batch_sizes sizes_of(const std::vector<waiting_plan>& waiting, std::size_t begin, std::size_t end) {
  batch_sizes sizes{static_cast<std::int64_t>(end - begin), 1, 0, 1, waiting[begin].read.layers_alike, false};
  for (std::size_t i = begin; i < end; ++i) {
    sizes.prefix = std::max(sizes.prefix, waiting[i].read.slots);
    sizes.heads_differ = sizes.heads_differ || waiting[i].read.heads_differ;
  }
  return sizes;
}

/// How many plans from `begin` on go in one pass.
std::size_t end_of_pass(const causal_lm& model, const std::vector<waiting_plan>& waiting, std::size_t begin,
                        std::int64_t most_bytes) {
  std::int64_t logits = 0;
  std::size_t end = begin;
  while (end < waiting.size() && static_cast<std::int64_t>(end - begin) < most_plans &&
         waiting[end].read.layers_alike == waiting[begin].read.layers_alike) {
    logits += waiting[end].asked * model.config.vocab_size;
    if (end > begin && (logits > most_logits || bytes_of(model, sizes_of(waiting, begin, end + 1)) > most_bytes)) {
      break;
    }
    ++end;
  }
  return end;
}

void score_pass(const causal_lm& model, const std::vector<waiting_plan>& waiting, std::size_t begin, std::size_t end,
                const logits_sink& found) {
  sequence_batch batch(model, sizes_of(waiting, begin, end));
  std::vector<std::int64_t> groups;
  std::vector<const checked_plan*> plans;
  std::vector<std::int64_t> asked;
  for (std::size_t i = begin; i < end; ++i) {
    groups.push_back(static_cast<std::int64_t>(i - begin));
    plans.push_back(&waiting[i].read);
    asked.push_back(waiting[i].asked);
  }
  const at::Tensor logits = batch.read(groups, plans, asked);
  const at::ScalarType wide = logits.scalar_type() == at::kDouble ? at::kDouble : at::kFloat;
  std::int64_t first = 0;
  for (std::size_t i = begin; i < end; ++i) {
    found(waiting[i].index, logits.slice(0, first, first + waiting[i].asked).to(wide));
    first += waiting[i].asked;
  }
}

void tell_pass(const batching& how) {
  if (how.after_steps) {
    how.after_steps(0);
  }
}

void score_in_passes(const causal_lm& model, const std::vector<scored_plan>& plans, const logits_sink& found,
                     const batching& how) {
  const at::NoGradGuard no_grad;
  std::vector<waiting_plan> waiting;
  for (std::size_t i = 0; i < plans.size(); ++i) {
    const auto& [input, continuation] = plans[i];
    require<value_error>(!continuation.empty(), "score", "continuation", "at least one token", "an empty one");
    const auto asked = static_cast<std::int64_t>(continuation.size());
    if (input.batch() != 1 || input.size() + asked - 1 > longest_read_together) {
      found(i, next_token_logits(model, input, continuation));
      tell_pass(how);
      continue;
    }
    require_tokens_known(model.config, {continuation});
    waiting.push_back({i, asked, checked(model, with_continuations(input, {continuation}))});
  }
  std::ranges::stable_sort(waiting, {},
                           [](const waiting_plan& each) { return std::pair(each.read.layers_alike, each.read.slots); });
  const auto most_bytes = static_cast<std::int64_t>(how.share * static_cast<double>(free_memory(model.device())));
  for (std::size_t begin = 0; begin < waiting.size();) {
    const std::size_t end = end_of_pass(model, waiting, begin, most_bytes);
    score_pass(model, waiting, begin, end, found);
    begin = end;
    tell_pass(how);
  }
}

}  // namespace

void score_many(const causal_lm& model, const std::vector<scored_plan>& plans, const logits_sink& found,
                const batching& how) {
  naming_lack_of_memory("score", model.device(), [&] { score_in_passes(model, plans, found, how); });
}

}  // namespace kvtransfer::detail
