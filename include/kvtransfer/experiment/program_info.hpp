#pragma once

#include <cstdint>
#include <string>

namespace kvtransfer {

struct causal_lm;

/// The program that ran, and on what.
struct program_info {
  std::string version;       ///< this library's
  std::string libtorch;      ///< libtorch's version
  std::string device;        ///< as torch writes it: "cpu", "cuda:0"
  std::string dtype;         ///< of weights and caches, as "float32"
  std::string quantization;  ///< of weights: "none", "nf4", or the type of a GGUF file, "Q4_1"
  std::int64_t threads = 0;  ///< of the CPU
};

/// What a report says of the program that ran `model`.
[[nodiscard]] program_info make_program_info(const causal_lm& model, const std::string& quantization);

}  // namespace kvtransfer
