#include "experiment/oracle_reference.hpp"

#include <ATen/OpMathType.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/log_softmax.h>

#include <cstddef>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "kvtransfer/experiment/metrics.hpp"
#include "kvtransfer/model/generate_many.hpp"
#include "kvtransfer/model/score.hpp"
#include "kvtransfer/tensor/integers.hpp"
#include "model/score_many.hpp"

namespace kvtransfer::detail {

namespace {

/// The tokens of `ids` whose text reaches into bytes [begin, end) of theirs all.
slot_range tokens_spelling(const any_tokenizer& tokens, const std::vector<std::int64_t>& ids, std::size_t begin,
                           std::size_t end) {
  const auto length_of_first = [&](std::size_t count) {
    return tokens.decode({ids.begin(), ids.begin() + static_cast<std::ptrdiff_t>(count)}).size();
  };
  std::size_t first = 0;
  while (first + 1 < ids.size() && length_of_first(first + 1) <= begin) {
    ++first;
  }
  std::size_t last = first + 1;
  while (last < ids.size() && length_of_first(last) < end) {
    ++last;
  }
  return {static_cast<std::int64_t>(first), static_cast<std::int64_t>(last - first)};
}

/// A marker's tokens where an answer begins: behind a raw text with the space that a word has there.
std::vector<std::int64_t> tokens_of(const prompt_encoding& encoding, const prompt_ids& prompts,
                                    const std::string& marker) {
  const bool is_chat = prompts.tail.back().role == token_role::format;
  const std::vector<text_segment> text{{is_chat ? marker : " " + marker, false}};
  return encoding.tokens.encode_segments(text, text_begin::continued);
}

/// What an answer says, but for its logits.
oracle_reference oracle_answering(const prompt_encoding& encoding, const oracle_question& question,
                                  const completion& said) {
  oracle_reference oracle;
  oracle.answer = said.token_ids;
  if (said.eos_token_id) {
    oracle.answer.push_back(*said.eos_token_id);
  }
  const std::string text = lower_case(encoding.tokens.decode(said.token_ids));
  for (const std::string& marker : question.test->markers) {
    const std::size_t begin = text.find(lower_case(marker));
    oracle_reference::marker_place place;
    if (begin != std::string::npos) {
      place.in_answer = tokens_spelling(encoding.tokens, said.token_ids, begin, begin + marker.size());
    } else {
      place.token_ids = tokens_of(encoding, *question.prompts, marker);
    }
    oracle.markers.push_back(std::move(place));
  }
  return oracle;
}

/// The log-probability of tokens. @param logits in front of each
double log_prob_of(const std::vector<std::int64_t>& tokens, const at::Tensor& logits) {
  const at::ScalarType wide = at::toOpMathType(logits.scalar_type());
  const at::Tensor each =
      at::log_softmax(logits, -1, wide).gather(1, integer_tensor(tokens, logits.device()).unsqueeze(1));
  return each.to(at::kDouble).sum().item<double>();
}

/// The same of all markers that an answer spells. @param logits in front of each of its tokens
double log_prob_in_answer(const oracle_reference& oracle, const at::Tensor& logits) {
  double sum = 0;
  for (const oracle_reference::marker_place& place : oracle.markers) {
    if (const slot_range range = place.in_answer; !range.empty()) {
      sum += log_prob_of({oracle.answer.begin() + range.begin, oracle.answer.begin() + range.end()},
                         logits.slice(0, range.begin, range.end()));
    }
  }
  return sum;
}

}  // namespace

std::vector<std::optional<oracle_reference>> read_oracles(const causal_lm& model, const prompt_encoding& encoding,
                                                          const std::vector<oracle_question>& questions,
                                                          generation_config settings, const batching& how) {
  settings.temperature = 0;
  settings.seeds = {0};  // nothing is drawn
  const std::optional<std::int64_t> limit = position_limit(model.config);
  std::vector<std::optional<oracle_reference>> oracles(questions.size());
  std::vector<std::size_t> asked;
  std::vector<generation_request> requests;
  for (std::size_t i = 0; i < questions.size(); ++i) {
    if (!limit || count_of(questions[i].prompts->whole()) < *limit) {
      asked.push_back(i);
      requests.push_back({plan_of({ids_of(questions[i].prompts->whole())}), settings});
    }
  }
  const std::vector<generation_result> answers = generate_many(model, requests, how);
  std::vector<scored_plan> scored;
  for (std::size_t i = 0; i < asked.size(); ++i) {
    oracles[asked[i]] = oracle_answering(encoding, questions[asked[i]], answers[i].said);
    scored.push_back({std::move(requests[i].input), oracles[asked[i]]->answer});
  }
  score_many(
      model, scored, [&](std::size_t i, const at::Tensor& logits) { oracles[asked[i]]->logits = logits.clone(); }, how);
  return oracles;
}

void measure_along(const causal_lm& model, const std::vector<measured_input>& inputs, const batching& how) {
  const at::NoGradGuard no_grad;
  const std::optional<std::int64_t> limit = position_limit(model.config);
  std::vector<scored_plan> scored;
  std::vector<std::function<void(const at::Tensor&)>> takers;
  std::vector<double> sums(inputs.size());
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    const auto& [oracle, input, trial] = inputs[i];
    const std::int64_t next = input->positions.row(0, 0, 0).last_position().value_or(-1) + 1;
    if (limit && next + static_cast<std::int64_t>(oracle->answer.size()) > *limit) {
      continue;  // this condition leaves no room for the answer
    }
    scored.push_back({*input, oracle->answer});
    takers.emplace_back([&measured = inputs[i], &sum = sums[i]](const at::Tensor& logits) {
      measured.trial->next_token_kl =
          compare_next_tokens(measured.oracle->logits, logits).divergence.mean().item<double>();
      sum += log_prob_in_answer(*measured.oracle, logits);
    });
    for (const oracle_reference::marker_place& place : oracle->markers) {
      if (place.in_answer.empty()) {
        scored.push_back({*input, place.token_ids});
        takers.emplace_back(
            [&place, &sum = sums[i]](const at::Tensor& logits) { sum += log_prob_of(place.token_ids, logits); });
      }
    }
  }
  score_many(model, scored, [&](std::size_t i, const at::Tensor& logits) { takers[i](logits); }, how);
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    const std::size_t markers = inputs[i].oracle->markers.size();
    if (inputs[i].trial->next_token_kl && markers > 0) {
      inputs[i].trial->marker_log_prob = sums[i] / static_cast<double>(markers);
    }
  }
}

}  // namespace kvtransfer::detail
