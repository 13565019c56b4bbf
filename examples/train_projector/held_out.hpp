#pragma once

#include <ATen/core/grad_mode.h>
#include <fmt/format.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "../train_lab/recall.hpp"
#include "examples.hpp"
#include "kvtransfer/experiment/statistics/recovery.hpp"
#include "kvtransfer/experiment/suite.hpp"
#include "kvtransfer/inject/plan.hpp"
#include "kvtransfer/model/generate.hpp"
#include "kvtransfer/model/plan_logits.hpp"
#include "rows.hpp"
#include "text_pair.hpp"

namespace kvtransfer::train_projector {

/// What a receiver made of held-out examples in one condition.
struct held_out_score {
  std::string condition;
  double loss = 0;                     ///< nats a response token
  std::int64_t right = 0;              ///< responses with every marker
  std::int64_t cases = 0;              ///< questions asked; 0 where none were
  std::vector<double> successes = {};  ///< of each question: 1 or 0
};

/// Held-out examples in tokens, and the words of a right answer.
struct held_out_set {
  std::vector<example> examples;

  /// `count` questions that only the source answers, with names that no training text holds.
  static held_out_set questions(std::int64_t count, std::uint64_t seed) {
    held_out_set set;
    constexpr std::int64_t always = 100;
    for (std::int64_t i = 0; i < count; ++i) {
      set.examples.push_back(fact_example(corpus::mixed_seed(seed, 1U << 31, static_cast<std::uint64_t>(i)),
                                          corpus::split::held_out, always));
    }
    return set;
  }

  /// `count` examples of `mode_example`, likewise.
  static held_out_set modes(std::int64_t count, std::uint64_t seed) {
    held_out_set set;
    for (std::int64_t i = 0; i < count; ++i) {
      set.examples.push_back(
          mode_example(corpus::mixed_seed(seed, 1U << 30, static_cast<std::uint64_t>(i)), corpus::split::held_out));
    }
    return set;
  }
};

/// The examples as a suite of phase2a's, under which the projector can be put to the matrix's controls and tests. No
/// name of these is in any text that the lab models or a projector were trained on.
inline suite suite_of(const held_out_set& set, const std::string& name, const std::string& description) {
  suite made;
  made.name = name;
  made.description = description;
  for (const example& asked : set.examples) {
    test_case test;
    test.name = fmt::format("{}_{:04}", name, made.tests.size());
    test.source = asked.source;
    test.target = asked.question;
    test.markers = asked.markers;
    test.whole_words = true;
    made.tests.push_back(std::move(test));
  }
  return made;
}

/// Questions that are put to a receiver behind a cache of its own.
struct questions_asked {
  std::vector<training_row> rows;
  plan scored;     ///< reads question and response
  plan to_answer;  ///< reads the question
};

/// What `condition` has the receiver read of some examples.
template <Projector P>
questions_asked asked_in(std::string_view condition, const model_pair& models, const P& projector,
                         const text_pair& texts, const std::vector<example>& shown) {
  const bool by_text = condition == "oracle";
  std::vector<training_row> rows = by_text ? texts.rows_by_text(shown) : texts.rows_of(shown, models);
  const cache context = by_text || condition == "own" ? prefill(models.receiver, column(rows, &training_row::receiver))
                                                      : fused_cache(models, projector, rows);
  const harness& between = by_text ? harness() : models.between;
  std::vector<token_row> questions;
  for (const training_row& row : rows) {
    questions.emplace_back(row.target.begin(), row.target.end() - row.response);
  }
  plan scored = between.read(models.receiver, context.view(), column(rows, &training_row::target));
  plan to_answer = between.read(models.receiver, context.view(), std::move(questions));
  return {std::move(rows), std::move(scored), std::move(to_answer)};
}

/// Asks in four conditions: `projected`, `other` (the projection of another example's source), `own` (the receiver's
/// own cache, nothing projected), all three through the harness, and `oracle` (the receiver reads the source's text,
/// without any).
/// @param generates whether answers are generated too, not only scored
template <Projector P>
std::vector<held_out_score> score_held_out(const model_pair& models, const P& projector, const text_pair& texts,
                                           const held_out_set& set, bool generates) {
  const at::NoGradGuard no_gradients;
  std::vector<held_out_score> scores;
  for (const std::string_view condition : {"projected", "other", "own", "oracle"}) {
    held_out_score& score = scores.emplace_back(held_out_score{std::string(condition)});
    std::int64_t tokens = 0;
    constexpr std::size_t at_once = 32;
    for (std::size_t first = 0; first < set.examples.size(); first += at_once) {
      const std::size_t end = std::min(set.examples.size(), first + at_once);
      std::vector<example> shown(set.examples.begin() + static_cast<std::ptrdiff_t>(first),
                                 set.examples.begin() + static_cast<std::ptrdiff_t>(end));
      for (std::size_t i = first; condition == "other" && i < end; ++i) {
        shown[i - first].source = set.examples[(i + 1) % set.examples.size()].source;
      }
      const questions_asked asked = asked_in(condition, models, projector, texts, shown);
      score.loss += response_loss(plan_logits(models.receiver, asked.scored), asked.rows).template item<double>();
      tokens += response_tokens(asked.rows);
      if (!generates) {
        continue;
      }
      constexpr std::int64_t longest = 24;
      const generation_config settings{.max_new_tokens = longest,
                                       .eos_token_ids = models.receiver.config.eos_token_ids};
      const auto answers = generate(models.receiver, asked.to_answer, settings).sequences;
      for (std::size_t i = first; i < end; ++i) {
        const std::string answer = texts.decode(answers[i - first].token_ids);
        const bool right = std::ranges::all_of(
            set.examples[i].markers, [&](const std::string& marker) { return train_lab::holds(answer, marker); });
        score.right += right;
        score.successes.push_back(right ? 1 : 0);
        ++score.cases;
      }
    }
    score.loss /= static_cast<double>(std::max<std::int64_t>(tokens, 1));
  }
  return scores;
}

/// How much of what the text gives came through the projection, and how much any would have given; see `recover`.
/// @param scores of `score_held_out`, with answers to two questions or more
inline statistics::recovery recovery_of(const std::vector<held_out_score>& scores) {
  const auto of = [&](std::string_view condition) -> const std::vector<double>& {
    return std::ranges::find(scores, condition, &held_out_score::condition)->successes;
  };
  return statistics::recover({of("own"), of("other"), of("projected"), of("oracle")},
                             statistics::metric_scale::success);
}

/// `projected 1.234 (12/110), other 2.345 (0/110), …`.
inline std::string describe(const std::vector<held_out_score>& scores) {
  std::string text;
  for (const held_out_score& score : scores) {
    text += fmt::format("{}{} {:.3f}", text.empty() ? "" : ", ", score.condition, score.loss);
    text += score.cases == 0 ? "" : fmt::format(" ({}/{})", score.right, score.cases);
  }
  return text;
}

}  // namespace kvtransfer::train_projector
