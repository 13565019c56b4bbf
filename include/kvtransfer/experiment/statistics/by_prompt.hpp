#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <vector>

namespace kvtransfer::statistics {

/// One trial: what a metric gave for a prompt under one seed.
struct observation {
  std::string prompt;  ///< its name
  double value = 0.0;  ///< of the metric
};

/// Two conditions' values, paired: entry i of each is of the same prompt.
struct paired_values {
  std::vector<std::string> prompts;  ///< one name per pair
  std::vector<double> a;             ///< one value per prompt
  std::vector<double> b;             ///< one value per prompt
};

/// Pairs two conditions by prompt. Seeds are averaged within the prompt first: they repeat one prompt, and taken for
/// prompts of their own they would make a run look surer than it is. Order: as the prompts first appear in `a`.
/// @throws shape_error if there are no observations
/// @throws value_error if a value is not finite, or a prompt is in one of the two alone
[[nodiscard]] paired_values pair_by_prompt(std::span<const observation> a, std::span<const observation> b);

/// The cluster of each prompt, numbered from 0 in order of appearance.
/// @param template_of the template that each prompt was made from
/// @throws value_error if a prompt has none
[[nodiscard]] std::vector<std::int64_t> number_clusters(std::span<const std::string> prompts,
                                                        const std::map<std::string, std::string>& template_of);

}  // namespace kvtransfer::statistics
