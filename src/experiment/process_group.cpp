#include "kvtransfer/experiment/process_group.hpp"

#include <c10/util/Exception.h>
#include <fmt/format.h>

#include <map>
#include <optional>
#include <string_view>
#include <utility>

// Builds of torch without distributed training have no such header.
#if __has_include(<torch/csrc/distributed/c10d/TCPStore.hpp>)
#include <torch/csrc/distributed/c10d/TCPStore.hpp>
#endif

namespace kvtransfer {

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
  /// An agent's store may outlive the group, and a group that was started again is another, so each has its keys.
  explicit group_store(const torchrun_variables& told)
      : address_(fmt::format("{}:{}", told.host, told.port)),
        name_(fmt::format("kvtransfer/{}/{}/{}/", told.run_id, told.restarts, told.size)) {
    c10d::TCPStoreOptions options;
    options.port = told.port;
    options.isServer = told.hosts_store;
    options.waitWorkers = false;
    options.multiTenant = true;
    named([&] { store_ = c10::make_intrusive<c10d::TCPStore>(told.host, options); });
  }

  std::int64_t add(const std::string& counter, std::int64_t amount) {
    return named([&] { return store_->add(name_ + counter, amount); });
  }

  bool has(const std::string& counter) {
    return named([&] { return store_->check({name_ + counter}); });
  }

 private:
  std::string address_;
  std::string name_;  // in front of all keys
  c10::intrusive_ptr<c10d::Store> store_;
};

#else

class group_store {
 public:
  explicit group_store(const torchrun_variables&) {
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
  if (const auto told = torchrun_variables::read()) {
    group.place_ = *told;
    group.store_ = std::make_unique<store>(detail::group_store(*told));
  }
  return group;
}

std::int64_t process_group::add(const std::string& counter, std::int64_t amount) {
  return store_->add(counter, amount);
}

bool process_group::is_marked(const std::string& event) { return store_->has(event); }

}  // namespace kvtransfer
