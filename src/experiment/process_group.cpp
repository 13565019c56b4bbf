#include "kvtransfer/experiment/process_group.hpp"

#include <c10/util/Exception.h>
#include <fmt/format.h>

#include <charconv>
#include <chrono>
#include <cstdlib>
#include <limits>
#include <map>
#include <optional>
#include <string_view>
#include <system_error>
#include <utility>

// Builds of torch without distributed training have no such header.
#if __has_include(<torch/csrc/distributed/c10d/TCPStore.hpp>)
#include <torch/csrc/distributed/c10d/TCPStore.hpp>
#endif

namespace kvtransfer {

namespace {

constexpr std::int64_t any_number = std::numeric_limits<std::int32_t>::max();

/// A variable that torchrun sets, if it is set. @throws value_error unless it is a number in its range
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

namespace detail {

#if __has_include(<torch/csrc/distributed/c10d/TCPStore.hpp>)

/// Counters that the processes of a group share.
class group_store {
  /// @throws process_group_error for what c10d complains of
  template <class Work>
  decltype(auto) named(Work&& work) {
    try {
      return work();
    } catch (const c10::Error& problem) {
      const std::string_view what = problem.what_without_backtrace();
      fail<process_group_error>("process group", address_, "a store that answers", what.substr(0, what.find('\n')));
    }
  }

 public:
  /// @param hosts whether this process is the one that hosts the store
  /// @param name in front of all keys, for nobody else
  group_store(const std::string& host, std::int64_t port, bool hosts, std::string name)
      : address_(fmt::format("{}:{}", host, port)), name_(std::move(name)) {
    c10d::TCPStoreOptions options;
    options.port = static_cast<std::uint16_t>(port);
    options.isServer = hosts;
    options.waitWorkers = false;
    options.multiTenant = true;
    named([&] { store_ = c10::make_intrusive<c10d::TCPStore>(host, options); });
  }

  std::int64_t add(const std::string& counter, std::int64_t amount) {
    return named([&] { return store_->add(name_ + counter, amount); });
  }

  bool has(const std::string& counter) {
    return named([&] { return store_->check({name_ + counter}); });
  }

 private:
  std::string address_;
  std::string name_;
  c10::intrusive_ptr<c10d::Store> store_;
};

#else

class group_store {
 public:
  group_store(const std::string&, std::int64_t, bool, const std::string&) {
    fail<device_error>("process group", "torch", "a build with c10d's TCPStore", "one without");
  }
  std::int64_t add(const std::string&, std::int64_t) { return 0; }
  bool has(const std::string&) { return false; }
};

#endif

}  // namespace detail

/// Shared, or of a process alone.
class process_group::store {
 public:
  store() = default;
  explicit store(detail::group_store shared) : shared_(std::move(shared)) {}

  std::int64_t add(const std::string& counter, std::int64_t amount) {
    return shared_ ? shared_->add(counter, amount) : own_[counter] += amount;
  }
  bool has(const std::string& counter) { return shared_ ? shared_->has(counter) : own_.contains(counter); }

 private:
  std::optional<detail::group_store> shared_;
  std::map<std::string, std::int64_t> own_;
};

process_group::process_group() : store_(std::make_unique<store>()) {}
process_group::process_group(process_group&&) noexcept = default;
process_group& process_group::operator=(process_group&&) noexcept = default;
process_group::~process_group() = default;

process_group process_group::from_environment() {
  process_group group;
  const std::optional<std::int64_t> rank = number_of("RANK", 0, any_number);
  if (!rank) {
    return group;
  }
  place& here = group.place_;
  here.size = required("WORLD_SIZE", 1, any_number);
  here.rank = required("RANK", 0, here.size - 1);
  here.local_size = number_of("LOCAL_WORLD_SIZE", 1, here.size).value_or(1);
  here.local_rank = number_of("LOCAL_RANK", 0, here.local_size - 1).value_or(0);
  here.restarts = number_of("TORCHELASTIC_RESTART_COUNT", 0, any_number).value_or(0);
  const std::string host = text_of("MASTER_ADDR", "");
  require<value_error>(!host.empty(), "environment", "MASTER_ADDR", "a host's name, since RANK is set", "nothing");
  const std::int64_t port = required("MASTER_PORT", 1, std::numeric_limits<std::uint16_t>::max());
  // Its agent has the store already where it says so; else rank 0 has it. Source: torch/distributed/rendezvous.py.
  const bool agent_hosts = text_of("TORCHELASTIC_USE_AGENT_STORE", "") == "True";
  // An agent's store may outlive the group: a group that was started again is another.
  std::string name =
      fmt::format("kvtransfer/{}/{}/{}/", text_of("TORCHELASTIC_RUN_ID", "none"), here.restarts, here.size);
  group.store_ =
      std::make_unique<store>(detail::group_store(host, port, !agent_hosts && here.rank == 0, std::move(name)));
  return group;
}

std::int64_t process_group::add(const std::string& counter, std::int64_t amount) {
  return store_->add(counter, amount);
}

bool process_group::is_marked(const std::string& event) { return store_->has(event); }

}  // namespace kvtransfer
