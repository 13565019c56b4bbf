#include "kvtransfer/experiment/process_group.hpp"

#include <map>
#include <optional>
#include <utility>

#include "experiment/c10d_store.hpp"  // IWYU pragma: keep (its names are torch's)
#include "experiment/store_answers.hpp"
#include "kvtransfer/experiment/torchrun_store.hpp"

namespace kvtransfer {

namespace detail {

/// Counters that the processes of a group share.
class group_store {
 public:
  explicit group_store(const torchrun_variables& told)
      : address_(address_of(told)), store_(open_store(told, "kvtransfer", store_opening::at_once)) {}

  std::int64_t add(const std::string& counter, std::int64_t amount) {
    return answered(address_, [&] { return store_->add(counter, amount); });
  }

  bool has(const std::string& counter) {
    return answered(address_, [&] { return store_->check({counter}); });
  }

 private:
  std::string address_;
  c10::intrusive_ptr<c10d::Store> store_;
};

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
