#pragma once

#include <string>
#include <vector>

#include "kvtransfer/experiment/records.hpp"
#include "kvtransfer/experiment/summary.hpp"

namespace kvtransfer::detail {

/// What a run found, for somebody who has read the published report and nothing else.
struct finding {
  std::string headline;                ///< one sentence
  std::vector<std::string> sentences;  ///< the numbers that it rests on, the control that it beat among them
  bool is_result = false;              ///< false: too few prompts to call it one, or nothing was asked
};

/// The finding about what the suite asks. Every sentence is made from the summary's numbers; a test tries them against
/// random runs.
[[nodiscard]] finding finding_of(const results& run, const run_summary& summary);

/// A condition in words: "the source's cache".
[[nodiscard]] std::string in_words(const std::string& condition);

/// `+56.2 points`: a difference of rates.
[[nodiscard]] std::string points(double difference);

/// `+45.0 to +67.1 points`: an interval of one.
[[nodiscard]] std::string points(double low, double high);

/// `45 of 80 prompts`; a percentage where trials were averaged.
[[nodiscard]] std::string rate_text(double rate, std::int64_t prompts);

/// `p < 0.001` or `p = 0.031`.
[[nodiscard]] std::string p_text(double p);

/// What a comparison's verdict means, in a sentence.
[[nodiscard]] std::string verdict_sentence(const statistics::paired_comparison& outcome, std::size_t family);

}  // namespace kvtransfer::detail
