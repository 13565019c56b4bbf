#pragma once

#include <fmt/format.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "kvtransfer/cache/cache_view.hpp"
#include "kvtransfer/core/error.hpp"
#include "kvtransfer/experiment/condition_point.hpp"
#include "kvtransfer/inject/injection.hpp"
#include "kvtransfer/inject/injection_policy_registry.hpp"
#include "kvtransfer/inject/plan.hpp"
#include "kvtransfer/inject/prepend.hpp"
#include "kvtransfer/model/causal_lm.hpp"
#include "kvtransfer/model/generate.hpp"
#include "training_row.hpp"

namespace kvtransfer::train_projector {

/// The harness that a projection goes through, in the words that the matrix puts behind a condition: when the source's
/// cache is taken, whether the question begins with a BOS of its own, and what policies do to what is injected. As a
/// rule it makes no mistake.
class harness {
 public:
  /// The one that makes none.
  harness() = default;

  /// @param words such as `cache:generated_eos+second_bos`, `unrotated` or `restart`; empty: none
  /// @throws value_error for words that are not known, or that are not about a harness
  explicit harness(const std::string& words) : words_(words) {
    if (words.empty()) {
      return;
    }
    point_ = moved_point({}, words, injection_policy_registry::standard());
    const bool plain = point_.prompt == cached_prompt::source && point_.control == cache_control::none &&
                       point_.precision == cache_precision::run && point_.visible == cache_visibility::shown &&
                       point_.prompt_form.empty() && !point_.rerotated && point_.policy.roles().empty() &&
                       point_.policy.spans().empty();
    require<value_error>(plain, "--condition", "words",
                         "cache:, second_bos, or policies that need no other cache and no span",
                         formatted("\"{}\"", words));
  }

  /// As they were given.
  [[nodiscard]] const std::string& words() const { return words_; }

  /// Whether the source's cache holds what its model said after the text too.
  [[nodiscard]] bool takes_generated() const { return point_.taken != cache_moment::prompt; }

  /// The rows as this harness has them read: behind each source what its model says after it, as many more tokens for
  /// the receiver, and a BOS in front of the question.
  /// @param opening what stands in front of every text of the receiver's @param filler of the receiver
  [[nodiscard]] std::vector<training_row> applied(const causal_lm& source, std::vector<training_row> rows,
                                                  const token_row& opening, std::int64_t filler) const {
    if (point_.second_bos) {
      for (training_row& row : rows) {
        row.target.insert(row.target.begin(), opening.begin(), opening.end());
      }
    }
    if (takes_generated()) {
      const generation_config settings{.eos_token_ids = source.config.eos_token_ids};
      const auto said = generate(source, plan_of(column(rows, &training_row::source)), settings).sequences;
      for (std::size_t i = 0; i < rows.size(); ++i) {
        const token_row cached = cached_of(said[i]);
        rows[i].source.insert(rows[i].source.end(), cached.begin(), cached.end());
        rows[i].receiver.resize(rows[i].source.size(), filler);
        rows[i].text.resize(rows[i].source.size(), filler);
      }
    }
    return rows;
  }

  /// The plan that reads texts behind a cache.
  [[nodiscard]] plan read(const causal_lm& receiver, const cache_view<>& injected, std::vector<token_row> texts) const {
    const injection_context known{receiver.config.q_heads, {}, {}};
    return prepend(point_.policy.apply(injection(injected, known)), std::move(texts));
  }

 private:
  /// What of a continuation is in the cache afterwards: the last token chosen was not read, unless the harness feeds an
  /// end of text.
  [[nodiscard]] token_row cached_of(const completion& said) const {
    token_row ids = said.token_ids;
    if (said.eos_token_id) {
      if (point_.taken == cache_moment::generated_eos) {
        ids.push_back(*said.eos_token_id);
      }
    } else if (!ids.empty()) {
      ids.pop_back();
    }
    return ids;
  }

  std::string words_;
  condition_point point_;
};

}  // namespace kvtransfer::train_projector
