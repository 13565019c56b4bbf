#pragma once

// Three caches, each held twice: by the library, and on plain vectors. After every operation both must say the same, or
// the library must have refused what the vectors say is to be refused, and changed nothing.

#include <ATen/ops/empty.h>
#include <fmt/format.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "kvtransfer/inject/prepend.hpp"
#include "kvtransfer/model/generate.hpp"
#include "kvtransfer/model/plan_logits.hpp"
#include "model/random_operations/choices.hpp"
#include "model/random_operations/joins.hpp"
#include "model/random_operations/moves.hpp"
#include "model/random_operations/slow_reading.hpp"

namespace kvtransfer::test {

/// A view that is looked at later, and what it showed.
struct kept_view {
  cache_view<> view;
  reference_cache expected;
  std::uint64_t number;     ///< of its cache
  std::vector<bool> moved;  ///< the layers whose memory was changed since
};

/// Three caches, and what can be done with them.
class world {
 public:
  world(const causal_lm& model, const vector_model& slow, planted fault)
      : model_(&model), slow_(slow), fault_(fault), caches_(3) {}

  /// Does the operation on both sides. @return how they differ; empty where they do not
  std::string run(const operation& asked) {
    done_.clear();
    refused_ = false;
    std::string difference = dispatch(asked);
    for (std::size_t i = 0; difference.empty() && i < caches_.size(); ++i) {
      if (caches_[i]) {
        difference = compared(slow_, caches_[i]->library.view(), caches_[i]->expected);
        difference = difference.empty() ? "" : fmt::format("cache {}: {}", i, difference);
      }
    }
    return difference;
  }

  /// The last operation in words; empty where there was nothing to do.
  [[nodiscard]] const std::string& done() const { return done_; }
  /// Whether it was refused, as was expected.
  [[nodiscard]] bool refused() const { return refused_; }

 private:
  std::string dispatch(const operation& asked) {
    number_source more(asked.numbers);
    if (asked.what == operation::prefill) {
      return put(asked.numbers[0] % 3, prefilled(asked, more));
    }
    if (asked.what == operation::look_at_view) {
      return look();
    }
    std::optional<held_cache>& first = caches_[asked.numbers[0] % 3];
    std::optional<held_cache>& second = caches_[asked.numbers[1] % 3];
    if (!first) {
      return "";
    }
    switch (asked.what) {
      case operation::shift:
      case operation::remap:
      case operation::unrotate:
      case operation::rotate:
      case operation::close_gaps:
      case operation::crop:
        return move(*first, moves(*model_, fault_, asked, *first, more).expected());
      case operation::materialize:
        note_moves(*first);
        return move(*first, moves(*model_, fault_, asked, *first, more).expected());
      case operation::concat:
      case operation::scatter:
      case operation::halves:
        return second ? put(asked.numbers[2] % 3, joins(asked, *first, *second, more).expected()) : "";
      case operation::read:
        return read(asked, *first, more);
      case operation::keep_view:
        done_ = fmt::format("keep a view of cache {}", asked.numbers[0] % 3);
        kept_.emplace(kept_view{first->library.view(), first->expected, first->number,
                                std::vector<bool>(first->expected.layers.size())});
        return "";
      default:
        return put(asked.numbers[1] % 3, choices(*model_, asked, *first, more).expected());
    }
  }

  /// Does what changes a cache where it stands. @return how it comes out otherwise than expected
  std::string move(held_cache& held, expected_change<void> change) {
    done_ = std::move(change.words);
    const attempt_outcome outcome = attempt(change.act);
    if (const std::string other = other_outcome(outcome, change.refused); !other.empty() || change.refused) {
      return other;
    }
    held.expected = std::move(change.result);
    return "";
  }

  /// Does what makes a cache, and puts it in place. @return likewise
  std::string put(std::size_t into, expected_change<cache> change) {
    done_ = std::move(change.words);
    if (done_.empty()) {
      return "";
    }
    std::optional<cache> made;
    const attempt_outcome outcome = attempt([&] { made.emplace(change.act()); });
    if (const std::string other = other_outcome(outcome, change.refused); !other.empty() || change.refused) {
      return other;
    }
    caches_[into].emplace(held_cache{std::move(*made), std::move(change.result), ++last_number_});
    return "";
  }

  /// Takes note of a refusal. @return what is wrong where it was not to be, or there was none
  std::string other_outcome(const attempt_outcome& outcome, bool refused) {
    if (outcome.refused != refused) {
      return refused ? "not refused" : "refused: " + outcome.message;
    }
    refused_ = refused;
    return "";
  }

  expected_change<cache> prefilled(const operation& asked, number_source& more) const {
    token_rows texts;
    for (std::size_t b = 0; b <= asked.numbers[1] % 2; ++b) {
      texts.push_back(random_text(1 + asked.numbers[2] % 6 + (b == 0 ? 0 : more.below(3)), more));
    }
    expected_change<cache> change{
        fmt::format("cache {} = prefill of {} tokens in {} rows", asked.numbers[0] % 3, texts[0].size(), texts.size()),
        false, without_slots(model_->config, texts.size())};
    std::vector<vector_of_doubles> ignored(texts.size());
    std::vector<seen_slots> seen = slow_.seen_by(change.result);
    slow_.read_rows(texts, std::vector<std::int64_t>(texts.size(), 0), seen, change.result, ignored,
                    std::vector<bool>(texts.size(), true));
    change.act = [model = model_, texts] { return kvtransfer::prefill(*model, texts); };
    return change;
  }

  /// Reads texts behind a cache some of whose slots are hidden, and a few tokens more; the cache that this leaves.
  std::string read(const operation& asked, held_cache& held, number_source& more) {
    const reference_cache& source = held.expected;
    const std::size_t into = asked.numbers[1] % 3;
    const std::size_t batch = source.batch() == 1 && more.one_in(4) ? 2 : source.batch();
    const std::int64_t gap = more.one_in(3) ? static_cast<std::int64_t>(more.below(200)) : 0;
    const std::size_t steps = more.below(3);
    token_rows texts;
    for (std::size_t b = 0; b < batch; ++b) {
      texts.push_back(random_text(1 + asked.numbers[2] % 3 + (b == 0 ? 0 : more.below(2)), more));
    }
    reference_cache left = source;
    for (reference_rows& layer : left.layers) {
      layer.resize(batch, layer.front());
    }
    const std::vector<at::Tensor> visible = hide_some(left, batch, more);
    done_ = fmt::format("read {} rows of {} tokens behind cache {}{}, gap {}, and {} more: cache {}", batch,
                        texts[0].size(), asked.numbers[0] % 3, visible.empty() ? "" : " with hidden slots", gap, steps,
                        into);
    std::vector<std::int64_t> starts = starts_behind(source, batch, gap);
    std::optional<session> running;
    at::Tensor in_one_pass;
    const attempt_outcome outcome = attempt([&] {
      plan input = prepend(held.library.view(), texts, place::gap{gap});
      for (std::size_t layer = 0; layer < visible.size(); ++layer) {
        input.layers[layer].front().visible = visible[layer];
      }
      running.emplace(*model_, input, static_cast<std::int64_t>(steps));
      in_one_pass = plan_logits(*model_, input).select(1, input.size() - 1);
    });
    const bool refused = !can_be_read(source, texts, starts);
    if (const std::string other = other_outcome(outcome, refused); !other.empty() || refused) {
      return other;
    }
    settle(left);
    left.origin_known = true;
    std::string difference = step_by_step(*running, in_one_pass, texts, starts, steps, left, more);
    if (difference.empty()) {
      caches_[into].emplace(held_cache{std::move(*running).release(), std::move(left), ++last_number_});
    }
    return difference;
  }

  /// Where each sequence's text begins: behind the furthest key of any layer and head.
  static std::vector<std::int64_t> starts_behind(const reference_cache& source, std::size_t batch, std::int64_t gap) {
    std::vector<std::int64_t> starts(batch, gap);
    for (std::size_t b = 0; b < batch; ++b) {
      std::optional<std::int64_t> last;
      for (const reference_rows& layer : source.layers) {
        for (const slot_row& row : layer[source.batch() == 1 ? 0 : b]) {
          for (const reference_slot& slot : row) {
            last = slot.key == nullptr ? last : std::max(last.value_or(slot.position), slot.position);
          }
        }
      }
      starts[b] = last.value_or(-1) + 1 + gap;
    }
    return starts;
  }

  /// Whether the model may read the texts behind this cache.
  [[nodiscard]] bool can_be_read(const reference_cache& source, const token_rows& texts,
                                 const std::vector<std::int64_t>& starts) const {
    bool can = !source.any_key([](const reference_slot& slot) { return !slot.rotated; });
    for (std::size_t layer = 0; layer < source.layers.size(); ++layer) {
      can = can && (source.origin_known || source.size(layer) == 0);
    }
    for (std::size_t b = 0; b < texts.size(); ++b) {
      can = can && starts[b] + static_cast<std::int64_t>(texts[b].size()) <= limit();
    }
    return can;
  }
  [[nodiscard]] std::int64_t limit() const { return position_limit(model_->config).value_or(0); }

  /// Compares what a session says of the texts, and of tokens behind them, with what the slow model says.
  /// @param left gets what is read
  std::string step_by_step(session& running, const at::Tensor& in_one_pass, const token_rows& texts,
                           std::vector<std::int64_t> starts, std::size_t steps, reference_cache& left,
                           number_source& more) const {
    const std::size_t batch = texts.size();
    std::vector<seen_slots> seen = slow_.seen_by(left);
    std::vector<vector_of_doubles> logits(batch);
    std::vector<bool> said(batch, true);
    for (std::size_t step = 0; step <= steps; ++step) {
      token_rows next = texts;
      if (step > 0) {
        std::vector<std::optional<std::int64_t>> given;
        for (std::size_t b = 0; b < batch; ++b) {
          said[b] = !more.one_in(5);
          next[b] = said[b] ? random_text(1, more) : std::vector<std::int64_t>{};
          given.push_back(said[b] ? std::optional(next[b][0]) : std::nullopt);
        }
        if (std::ranges::any_of(running.next_positions(), [&](std::int64_t p) { return p >= limit(); })) {
          break;
        }
        running.step(given);
      }
      slow_.read_rows(next, starts, seen, left, logits, said);
      for (std::size_t b = 0; b < batch; ++b) {
        if (const std::string far = said[b] ? far_from(logits[b], running.logits(), b) : ""; !far.empty()) {
          return fmt::format("logits of row {} after step {}: {}", b, step, far);
        }
        if (const std::string far = step == 0 ? far_from(logits[b], in_one_pass, b) : ""; !far.empty()) {
          return fmt::format("plan_logits of row {}: {}", b, far);
        }
        starts[b] += static_cast<std::int64_t>(next[b].size());
      }
    }
    return "";
  }

  std::string look() {
    if (!kept_) {
      return "";
    }
    done_ = "look at the view";
    for (std::size_t layer = 0; layer < kept_->expected.layers.size(); ++layer) {
      if (!kept_->expected.any_key_in(layer, [](const reference_slot&) { return true; })) {
        continue;
      }
      const attempt_outcome outcome =
          attempt([&] { (void)kept_->view.layer(static_cast<std::int64_t>(layer)).keys(); });
      if (outcome.refused != kept_->moved[layer]) {
        return kept_->moved[layer] ? "a view of keys that were moved was not refused" : "refused: " + outcome.message;
      }
      refused_ = refused_ || outcome.refused;
    }
    const bool whole = std::ranges::none_of(kept_->moved, [](bool moved) { return moved; });
    return whole ? compared(slow_, kept_->view, kept_->expected) : "";
  }

  void note_moves(const held_cache& held) {
    for (std::size_t layer = 0; kept_ && kept_->number == held.number && layer < held.expected.layers.size(); ++layer) {
      kept_->moved[layer] = kept_->moved[layer] || held.expected.any_key_in(layer, &reference_slot::moves);
    }
  }

  static std::vector<std::int64_t> random_text(std::size_t count, number_source& more) {
    std::vector<std::int64_t> ids;
    for (std::size_t i = 0; i < count; ++i) {
      ids.push_back(static_cast<std::int64_t>(1 + (i + more.below(96)) % 96));
    }
    return ids;
  }

  /// Makes some slots of `left` padding, for all heads or for one. @return what shows the plan the same, none: nothing
  static std::vector<at::Tensor> hide_some(reference_cache& left, std::size_t batch, number_source& more) {
    std::vector<at::Tensor> visible;
    const std::size_t heads = more.one_in(2) ? 2 : 1;
    const bool hides = more.one_in(2);
    for (std::size_t layer = 0; hides && layer < left.layers.size(); ++layer) {
      const std::size_t slots = left.size(layer);
      const at::Tensor shown = at::empty(
          {static_cast<std::int64_t>(batch), static_cast<std::int64_t>(heads), static_cast<std::int64_t>(slots)},
          at::kBool);
      bool* out = shown.mutable_data_ptr<bool>();
      for (std::size_t b = 0; b < batch; ++b) {
        for (std::size_t head = 0; head < heads; ++head) {
          for (std::size_t i = 0; i < slots; ++i) {
            *out = !more.one_in(4);
            for (std::size_t of = heads == 1 ? 0 : head; !*out && of < (heads == 1 ? 2 : head + 1); ++of) {
              left.layers[layer][b][of][i] = {};
            }
            ++out;
          }
        }
      }
      visible.push_back(shown);
    }
    return visible;
  }

  const causal_lm* model_;
  slow_reading slow_;
  planted fault_;
  std::vector<std::optional<held_cache>> caches_;
  std::optional<kept_view> kept_;
  std::uint64_t last_number_ = 0;
  std::string done_;
  bool refused_ = false;
};

}  // namespace kvtransfer::test
