#pragma once

#include <cstdint>
#include <span>
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
  std::string commit = {};   ///< that this library was built from, "+" behind it where files were changed; may be empty
  std::string command = {};  ///< the command line; empty where nobody gave one
  std::string date = {};     ///< when it began: ISO 8601, UTC
  double seconds = 0.0;      ///< that the run took; 0 until it has ended
};

/// What a report says of the program that runs `model`, from now on.
/// @param command the command line, for whoever wants to repeat it
[[nodiscard]] program_info make_program_info(const causal_lm& model, const std::string& quantization,
                                             std::string command = {});

/// The arguments of a program as a shell reads them back.
[[nodiscard]] std::string command_line(std::span<const char* const> arguments);

}  // namespace kvtransfer
