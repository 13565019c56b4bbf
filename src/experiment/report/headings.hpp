#pragma once

#include <string>

#include "kvtransfer/experiment/records.hpp"

namespace kvtransfer::detail {

/// `greedy` or `temperature 0.8`, then trials, seed and length.
[[nodiscard]] std::string decoding_text(const run_settings& settings);

/// The model in a line: name, architecture, sizes.
[[nodiscard]] std::string model_text(const model_info& model);

/// Device, dtype and quantization.
[[nodiscard]] std::string machine_text(const program_info& program);

/// The rotary embedding in a line: every field that the record has.
[[nodiscard]] std::string rope_text(const model_info& model);

/// In which precision equality of tokens is claimed, and how to read a difference elsewhere.
[[nodiscard]] std::string precision_note(const program_info& program);

/// Which conditions injected a cache that does not say itself that the model wrote it, and why it was taken for the
/// model's; empty where there is none.
[[nodiscard]] std::string origin_note(const results& run);

}  // namespace kvtransfer::detail
