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

}  // namespace kvtransfer::detail
