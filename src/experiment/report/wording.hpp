#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "kvtransfer/experiment/statistics/paired_comparison.hpp"

namespace kvtransfer::detail {

/// A condition in words: "the source's cache"; as it is written where it has none.
[[nodiscard]] std::string in_words(const std::string& condition);

/// What a metric of `summary.json` counts, as a heading.
[[nodiscard]] std::string metric_title(const std::string& metric);

/// `+56.2 points`: a difference of rates.
[[nodiscard]] std::string points(double difference);

/// `+45.0 to +67.1 points`: an interval of one.
[[nodiscard]] std::string points(double low, double high);

/// `45 of 80 prompts`; a percentage where trials were averaged.
[[nodiscard]] std::string rate_text(double rate, std::int64_t prompts);

/// `p < 0.001` or `p = 0.031`.
[[nodiscard]] std::string p_text(double p);

/// Whether a comparison rests on enough prompts, and templates, to be called a result.
[[nodiscard]] bool is_enough(const statistics::paired_comparison& outcome);

/// What a comparison's verdict means, in a sentence. @param family comparisons that were adjusted to one another
[[nodiscard]] std::string verdict_sentence(const statistics::paired_comparison& outcome, std::size_t family);

}  // namespace kvtransfer::detail
