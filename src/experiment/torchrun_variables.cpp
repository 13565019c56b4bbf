#include "kvtransfer/experiment/torchrun_variables.hpp"

#include <charconv>
#include <cstdlib>
#include <limits>
#include <string_view>
#include <system_error>

#include "kvtransfer/core/error.hpp"

namespace kvtransfer {

namespace {

constexpr std::int64_t any_number = std::numeric_limits<std::int32_t>::max();

/// A variable, if it is set. @throws value_error unless it is a number in its range
std::optional<std::int64_t> number_of(const char* variable, std::int64_t least, std::int64_t most) {
  const char* text = std::getenv(variable);
  if (text == nullptr) {
    return std::nullopt;
  }
  const std::string_view digits = text;
  std::int64_t number = 0;
  const auto [end, problem] = std::from_chars(digits.data(), digits.data() + digits.size(), number);
  const bool whole = problem == std::errc{} && end == digits.data() + digits.size();
  require<value_error>(whole && number >= least && number <= most, "environment", variable,
                       formatted("an integer from {} to {}, as torchrun sets it", least, most), digits);
  return number;
}

/// A variable without which there is no group.
std::int64_t required(const char* variable, std::int64_t least, std::int64_t most) {
  const auto number = number_of(variable, least, most);
  require<value_error>(number.has_value(), "environment", variable, "a number, since RANK is set", "nothing");
  return *number;
}

std::string text_of(const char* variable, const char* otherwise) {
  const char* text = std::getenv(variable);
  return text == nullptr ? otherwise : text;
}

}  // namespace

std::optional<torchrun_variables> torchrun_variables::read() {
  if (!number_of("RANK", 0, any_number)) {
    return std::nullopt;
  }
  torchrun_variables told;
  told.size = required("WORLD_SIZE", 1, any_number);
  told.rank = required("RANK", 0, told.size - 1);
  told.local_size = number_of("LOCAL_WORLD_SIZE", 1, told.size).value_or(1);
  told.local_rank = number_of("LOCAL_RANK", 0, told.local_size - 1).value_or(0);
  told.restarts = number_of("TORCHELASTIC_RESTART_COUNT", 0, any_number).value_or(0);
  told.run_id = text_of("TORCHELASTIC_RUN_ID", "none");
  told.host = text_of("MASTER_ADDR", "");
  require<value_error>(!told.host.empty(), "environment", "MASTER_ADDR", "a host's name, since RANK is set", "nothing");
  told.port = static_cast<std::uint16_t>(required("MASTER_PORT", 1, std::numeric_limits<std::uint16_t>::max()));
  // Source: torch/distributed/rendezvous.py.
  told.hosts_store = told.rank == 0 && text_of("TORCHELASTIC_USE_AGENT_STORE", "") != "True";
  return told;
}

}  // namespace kvtransfer
