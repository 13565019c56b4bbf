#pragma once

#include <cstdint>
#include <map>
#include <utility>

#include "kvtransfer/inject/plan.hpp"

namespace kvtransfer::detail {

/// The keys and values that several plans inject. What they share counts once.
class injected_memory {
 public:
  /// Counts a plan in.
  void add(const plan& input);
  /// Counts a plan that was counted in out.
  void remove(const plan& input);

  /// Of all plans that are counted in.
  [[nodiscard]] std::int64_t bytes() const { return bytes_; }

 private:
  std::map<std::pair<const void*, std::int64_t>, std::int64_t> uses_;  // by address and bytes
  std::int64_t bytes_ = 0;
};

}  // namespace kvtransfer::detail
