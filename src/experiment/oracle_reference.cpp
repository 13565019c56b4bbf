#include "experiment/oracle_reference.hpp"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/log_softmax.h>

#include <cstddef>
#include <string>
#include <utility>
#include <vector>

#include "kvtransfer/experiment/metrics.hpp"
#include "kvtransfer/model/score.hpp"
#include "kvtransfer/tensor/integers.hpp"

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

}  // namespace

std::optional<oracle_reference> read_oracle(const causal_lm& model, const prompt_encoding& encoding,
                                            const test_case& test, const prompt_ids& prompts,
                                            generation_config settings) {
  const std::optional<std::int64_t> limit = position_limit(model.config);
  if (limit && count_of(prompts.whole()) >= *limit) {
    return std::nullopt;
  }
  settings.temperature = 0;
  const plan whole = plan_of({ids_of(prompts.whole())});
  const completion said = generate(model, whole, settings).sequences.front();
  oracle_reference oracle;
  oracle.answer = said.token_ids;
  if (said.eos_token_id) {
    oracle.answer.push_back(*said.eos_token_id);
  }
  const at::NoGradGuard no_grad;
  oracle.logits = next_token_logits(model, whole, oracle.answer);
  const std::string text = lower_case(encoding.tokens.decode(said.token_ids));
  for (const std::string& marker : test.markers) {
    const std::size_t begin = text.find(lower_case(marker));
    oracle_reference::marker_place place;
    if (begin != std::string::npos) {
      place.in_answer = tokens_spelling(encoding.tokens, said.token_ids, begin, begin + marker.size());
    } else {
      place.token_ids = tokens_of(encoding, prompts, marker);
    }
    oracle.markers.push_back(std::move(place));
  }
  return oracle;
}

void measure_along(const oracle_reference& oracle, const causal_lm& model, const plan& input, trial_record& trial) {
  const at::NoGradGuard no_grad;
  const std::optional<std::int64_t> limit = position_limit(model.config);
  const std::int64_t next = input.positions.row(0, 0, 0).last_position().value_or(-1) + 1;
  if (limit && next + static_cast<std::int64_t>(oracle.answer.size()) > *limit) {
    return;  // this condition leaves no room for the answer
  }
  const at::Tensor logits = next_token_logits(model, input, oracle.answer);
  trial.next_token_kl = compare_next_tokens(oracle.logits, logits).divergence.mean().item<double>();
  const at::Tensor log_probs = at::log_softmax(logits, -1);
  double sum = 0;
  for (const oracle_reference::marker_place& place : oracle.markers) {
    if (place.in_answer.empty()) {
      sum += score(model, input, place.token_ids).total();
    }
    for (std::int64_t i = place.in_answer.begin; i < place.in_answer.end(); ++i) {
      sum += log_probs[i][oracle.answer[static_cast<std::size_t>(i)]].item<double>();
    }
  }
  if (!oracle.markers.empty()) {
    trial.marker_log_prob = sum / static_cast<double>(oracle.markers.size());
  }
}

}  // namespace kvtransfer::detail
