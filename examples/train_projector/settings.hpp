#pragma once

#include <fmt/format.h>

#include <cmath>
#include <cstdint>
#include <filesystem>
#include <numbers>
#include <string>
#include <vector>

namespace kvtransfer::train_projector {

/// How a fuser is trained. Two runs with the same recipe and seed give the same numbers on
/// processors of one kind: a GPU draws other noise than a CPU.
struct recipe {
  std::int64_t steps = 300;
  std::int64_t warm_up = 30;        ///< steps over which the learning rate rises to its peak
  std::string schedule = "cosine";  ///< how it falls then: cosine or linear, to zero
  std::int64_t rows = 32;           ///< examples a step
  std::int64_t rows_at_once = 32;   ///< examples in one forward pass; more are accumulated
  double peak_learning_rate = 1e-3;
  double weight_decay = 0.01;
  double clip = 1.0;                 ///< largest norm of all gradients together
  bool bfloat16 = false;             ///< matrix products in bfloat16
  double final_temperature = 0.001;  ///< of the gates, reached at the last step
  double dropout = 0.1;
  std::int64_t hidden_size = 256;
  std::int64_t intermediate_size = 256;
  std::int64_t value_blocks = 1;
  std::int64_t source_layers = 1;  ///< for each layer of the receiver
  std::int64_t source_slots = 1;   ///< of each source layer for each token
  double cache_weight = 0;         ///< of the distance from the receiver's own cache of the text, in the loss
  std::string keys = "unrotated";  ///< which the fuser reads and gives: rotated or unrotated
  std::string layers = "last";     ///< how layers are aligned: last, first or stretched
  std::string tokens = "first";    ///< which token stands for one of the receiver: first, longest or text
  std::string receiver_reads =
      "filler";  ///< filler: as many dots, so that all it learns comes from the source; text: the source's text itself
  std::string condition;             ///< what a harness does to what is projected, see `harness`
  std::int64_t percent_needed = 80;  ///< share of questions that only the source answers
  std::int64_t percent_modes = 0;    ///< share of examples that are about a mode, see `mode_example`
  std::uint64_t seed = 0;
};

/// All of it that two runs must share for one to go on where the other stopped.
inline std::string identity_of(const recipe& plan) {
  return fmt::format(
      "steps {}, warm-up {}, {}, batch {} by {}, peak {}, decay {}, clip {}, bfloat16 {}, temperature {}, dropout {}, "
      "hidden {}, inside {}, blocks {}, source layers {}, source slots {}, cache {}, keys {}, layers {}, tokens {}, "
      "receiver reads {}, {}needed {}, modes {}, seed {}",
      plan.steps, plan.warm_up, plan.schedule, plan.rows, plan.rows_at_once, plan.peak_learning_rate, plan.weight_decay,
      plan.clip, plan.bfloat16, plan.final_temperature, plan.dropout, plan.hidden_size, plan.intermediate_size,
      plan.value_blocks, plan.source_layers, plan.source_slots, plan.cache_weight, plan.keys, plan.layers, plan.tokens,
      plan.receiver_reads, plan.condition.empty() ? "" : "condition " + plan.condition + ", ", plan.percent_needed,
      plan.percent_modes, plan.seed);
}

/// The learning rate of a step: a straight rise to the peak, then half a cosine, or a straight line, down to zero.
/// @param step from 0
inline double learning_rate(const recipe& plan, std::int64_t step) {
  if (step < plan.warm_up) {
    return plan.peak_learning_rate * static_cast<double>(step + 1) / static_cast<double>(plan.warm_up);
  }
  const double done = static_cast<double>(step - plan.warm_up) / static_cast<double>(plan.steps - plan.warm_up);
  const double left = plan.schedule == "linear" ? 1.0 - done : 0.5 * (1.0 + std::cos(std::numbers::pi * done));
  return plan.peak_learning_rate * left;
}

/// What else one run of the program needs.
struct run_settings {
  std::filesystem::path source;    ///< the model whose caches are read
  std::filesystem::path receiver;  ///< the model whose caches are written
  std::filesystem::path output;
  std::filesystem::path initial;  ///< folder of a fuser to begin with; empty: random numbers
  std::filesystem::path text;     ///< file of texts, one a line; empty: generated facts and questions
  std::string projector = "fuser";
  double lambda = 1.0;   ///< of a ridge projector
  bool by_head = false;  ///< of a ridge projector
  bool resume = false;
  std::int64_t report_every = 10;    ///< steps between lines of progress
  std::int64_t measure_every = 100;  ///< steps between checkpoints, each with a held-out loss
  std::int64_t cases = 110;          ///< held-out questions of the last measure
  std::vector<std::int64_t> cost_lengths = {64,
                                            256};  ///< of texts by which the cost of a migration is measured, rising
};

}  // namespace kvtransfer::train_projector
