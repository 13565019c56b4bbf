#pragma once

#include <string>

#include "kvtransfer/model/config.hpp"
#include "kvtransfer/model/weights.hpp"

namespace kvtransfer::detail {

/// Tells one model from another, cheaply: by configuration, parameters' names and shapes, and signs of sampled weights.
///
/// The same for one model in every precision and on every device, since rounding keeps signs. Fine-tuning changes it:
/// even a small step flips some of the weights near zero.
/// @return "LlamaForCausalLM-22x2048-…": architecture, layers, hidden size, 16 hexadecimal digits
[[nodiscard]] std::string model_fingerprint(const model_config& config, const model_weights& weights);

}  // namespace kvtransfer::detail
