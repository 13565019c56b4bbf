#pragma once

#include <cstdint>
#include <string>

namespace kvtransfer {

struct causal_lm;

/// The program that ran, and on what.
struct program_info {
  std::string version;
  std::string libtorch;
  std::string device;
  std::string dtype;
  std::string quantization;
  std::int64_t threads = 0;
};

/// What a report says of the program that ran `model`.
[[nodiscard]] program_info make_program_info(const causal_lm& model, const std::string& quantization);

}  // namespace kvtransfer
