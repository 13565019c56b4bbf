#pragma once

#include <sys/wait.h>

#include <cstdlib>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>

#include "kvtransfer/core/json_file.hpp"
#include "kvtransfer/model/weights.hpp"
#include "support/small_model.hpp"
#include "support/temporary_folder.hpp"

namespace kvtransfer::test {

/// What a program left behind.
struct program_outcome {
  int exit_code = -1;
  std::string output;
  std::string complaint;  ///< stderr
};

/// Runs the example `phase2a` with these arguments, which a shell reads.
/// @param environment what stands in front of the command: `NAME=VALUE`, or `env -u NAME`
inline program_outcome run_phase2a(const std::string& arguments, const std::string& environment = "") {
  const temporary_folder folder;
  const auto output = folder.path() / "output";
  const auto complaint = folder.path() / "complaint";
  const std::string command = fmt::format("{} '{}/phase2a' {} >'{}' 2>'{}'", environment, KVT_PROGRAMS_DIR, arguments,
                                          output.string(), complaint.string());
  const int status = std::system(command.c_str());
  return {WIFEXITED(status) ? WEXITSTATUS(status) : -1, read_text(output), read_text(complaint)};
}

/// A folder with a random model that reads text: not one that knows anything.
inline void write_babbling_model(const std::filesystem::path& folder) {
  nlohmann::json config = small_config();
  config["vocab_size"] = 360;
  const causal_lm model = small_model(1, config);
  save_model(folder, model.config, model.weights, at::kFloat);
  const auto tokenizer_folder = std::filesystem::path(KVT_SOURCE_DIR) / "tests/model/fixtures/tokenizer";
  for (const char* name : {"tokenizer.model", "tokenizer_config.json"}) {
    std::ofstream(folder / name, std::ios::binary) << read_text(tokenizer_folder / name);
  }
}

}  // namespace kvtransfer::test
