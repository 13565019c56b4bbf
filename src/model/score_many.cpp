#include "model/score_many.hpp"

#include <ATen/core/grad_mode.h>
#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "kvtransfer/core/error.hpp"
#include "kvtransfer/model/score.hpp"
#include "model/checked_plan.hpp"
#include "model/host_memory.hpp"
#include "model/lack_of_memory.hpp"
#include "model/plan_checks.hpp"
#include "model/prefix_reader.hpp"
#include "model/sequence_batch.hpp"
#include "model/transformer.hpp"
#include "model/with_continuations.hpp"

namespace kvtransfer::detail {

namespace {

/// Logits that are held at a time: those of a pass would take more memory than a small model. A GPU takes little longer
/// for a few hundred rows than for more.
std::int64_t most_logits(at::Device device) { return std::int64_t{1} << (device.is_cpu() ? 21 : 25); }

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
  std::size_t end = begin;
  while (end < waiting.size() && static_cast<std::int64_t>(end - begin) < most_plans &&
         waiting[end].read.layers_alike == waiting[begin].read.layers_alike &&
         (end == begin || bytes_of(model, sizes_of(waiting, begin, end + 1)) <= most_bytes)) {
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
  const at::Tensor states = batch.read_states(groups, plans, asked);
  std::int64_t first = 0;
  for (std::size_t i = begin; i < end;) {
    std::size_t behind = i;
    std::int64_t rows = 0;
    do {
      rows += waiting[behind].asked;
      ++behind;
    } while (behind < end && (rows + waiting[behind].asked) * model.config.vocab_size <= most_logits(model.device()));
    const at::Tensor logits = vocabulary_logits(model.config, model.weights, states.slice(0, first, first + rows));
    first += rows;
    std::int64_t row = 0;
    for (; i < behind; ++i) {
      found(waiting[i].index, logits.slice(0, row, row + waiting[i].asked));
      row += waiting[i].asked;
    }
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
  const std::int64_t most_bytes = memory_for_batch(model, how).scored;
  if (model.device().is_cpu()) {
    return_freed_memory();  // what the plans were made in
  }
  for (std::size_t begin = 0; begin < waiting.size();) {
    const std::size_t end = end_of_pass(model, waiting, begin, most_bytes);
    score_pass(model, waiting, begin, end, found);
    return_freed_memory();
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
