#include "kvtransfer/experiment/program_info.hpp"

#include <ATen/Parallel.h>
#include <fmt/chrono.h>
#include <torch/headeronly/version.h>

#include <ctime>
#include <string_view>
#include <utility>

#include "experiment/library_commit.hpp"
#include "kvtransfer/core/version.hpp"
#include "kvtransfer/experiment/device_choice.hpp"
#include "kvtransfer/model/causal_lm.hpp"

namespace kvtransfer {

program_info make_program_info(const causal_lm& model, const std::string& quantization, std::string command) {
  program_info info{library_version,        TORCH_VERSION, model.device().str(),
                    name_of(model.dtype()), quantization,  at::get_num_threads()};
  info.commit = detail::library_commit();
  info.command = std::move(command);
  info.date = fmt::format("{:%Y-%m-%dT%H:%M:%SZ}", fmt::gmtime(std::time(nullptr)));
  return info;
}

std::string command_line(std::span<const char* const> arguments) {
  constexpr std::string_view plain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-+=./:,@%";
  std::string line;
  for (const std::string_view argument : arguments) {
    line += line.empty() ? "" : " ";
    if (!argument.empty() && argument.find_first_not_of(plain) == argument.npos) {
      line += argument;
      continue;
    }
    line += '\'';
    for (const char letter : argument) {
      line += letter == '\'' ? std::string_view("'\\''") : std::string_view(&letter, 1);
    }
    line += '\'';
  }
  return line;
}

}  // namespace kvtransfer
