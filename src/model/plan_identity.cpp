#include "model/plan_identity.hpp"

#include <ATen/core/Tensor.h>

#include <algorithm>

#include "kvtransfer/cache/detail/view_access.hpp"
#include "kvtransfer/tensor/memory.hpp"

namespace kvtransfer::detail {

namespace {

std::int64_t number_of(const void* address) {
  return static_cast<std::int64_t>(reinterpret_cast<std::uintptr_t>(address));  // NOLINT(*-reinterpret-cast)
}

}  // namespace

plan_identity::plan_identity(const plan& input) {
  const std::vector<std::int64_t>& ids = input.token_ids.front();
  numbers_ = ids;
  const std::vector<std::int64_t> positions = input.positions.row(0, 0, 0).positions();
  numbers_.insert(numbers_.end(), positions.begin(), positions.end());
  for (const std::vector<segment>& layer : input.layers) {
    numbers_.push_back(static_cast<std::int64_t>(layer.size()));
    for (const segment& part : layer) {
      add(view_access::key_storage(part.kv()).blocks);
      add(part.kv().value_storage().blocks);
      add(part.visible);
      numbers_.push_back(number_of(part.kv().shared_frame().get()));
      frames_.push_back(part.kv().shared_frame());
      numbers_.push_back(part.origin().assumed() ? 1 : 0);
    }
  }
  numbers_.push_back(static_cast<std::int64_t>(ids.size()));
}

bool plan_identity::is_like(const plan_identity& other) const {
  return numbers_ == other.numbers_ && is_there() && other.is_there();
}

void plan_identity::add(const at::Tensor& tensor) {
  numbers_.push_back(tensor.defined() ? number_of(tensor.const_data_ptr()) : 0);
  if (tensor.defined()) {
    numbers_.insert(numbers_.end(), tensor.sizes().begin(), tensor.sizes().end());
    numbers_.insert(numbers_.end(), tensor.strides().begin(), tensor.strides().end());
    memory_.push_back(tensor.storage().getWeakStorageImpl());
    ranges_.push_back(memory_of(tensor));
  }
}

bool plan_identity::is_there() const {
  return std::ranges::none_of(memory_, [](const auto& each) { return each.expired(); }) &&
         std::ranges::none_of(frames_, [](const auto& each) { return each.expired(); }) &&
         !memory_changes::instance().call_since(known_, ranges_);
}

}  // namespace kvtransfer::detail
