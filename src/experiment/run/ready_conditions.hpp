#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "kvtransfer/experiment/any_condition.hpp"
#include "kvtransfer/experiment/prompt_encoding.hpp"
#include "kvtransfer/experiment/prompt_ids.hpp"
#include "kvtransfer/experiment/records.hpp"

namespace kvtransfer {

struct causal_lm;

}  // namespace kvtransfer

namespace kvtransfer::detail {

/// The prompts of one run's tests as token ids, made once in each form that a condition asks for.
class encoded_tests {
 public:
  /// @param encoding, run the same in every call
  /// @throws value_error for a prompt form that the run does not have, or prompts that can't be encoded
  [[nodiscard]] const std::vector<prompt_ids>& for_condition(const any_condition& condition,
                                                             const prompt_encoding& encoding, const results& run);

 private:
  std::map<bool, std::vector<prompt_ids>> made_;  // with a chat format, and without
};

/// A condition that knows its suite, and the prompts of its tests.
struct ready_condition {
  any_condition condition;
  std::vector<prompt_ids> prompts;
};

/// Conditions with the prompts of a planned run's tests, nothing checked but the forms that they name.
/// @throws value_error for a prompt form that the run does not have
[[nodiscard]] std::vector<ready_condition> with_prompts(const causal_lm& model, const prompt_encoding& encoding,
                                                        const std::vector<any_condition>& conditions,
                                                        const results& run, encoded_tests& encoded);

/// Where a condition that throws was at work.
[[nodiscard]] std::string place_of(const test_case& test, const any_condition& condition);

/// Why a test can't run under a condition; nothing where it can.
[[nodiscard]] std::optional<std::string> why_not_applicable(const test_case& test, const any_condition& condition,
                                                            const prompt_ids& prompts);

/// The conditions of a planned run with the prompts of all its tests, checked.
/// @throws value_error for prompts or settings that the model can't serve
[[nodiscard]] std::vector<ready_condition> checked_conditions(const causal_lm& model, const prompt_encoding& encoding,
                                                              const std::vector<any_condition>& conditions,
                                                              const results& run, encoded_tests& encoded);

}  // namespace kvtransfer::detail
