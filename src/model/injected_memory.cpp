#include "model/injected_memory.hpp"

#include <ATen/core/Tensor.h>

#include <vector>

#include "kvtransfer/cache/detail/view_access.hpp"
#include "kvtransfer/cache/layer_view.hpp"

namespace kvtransfer::detail {

namespace {

/// Calls `visit(tensor)` for the keys and values of every segment.
template <class Visit>
void for_each_injected(const plan& input, Visit&& visit) {
  for (const std::vector<segment>& layer : input.layers) {
    for (const segment& part : layer) {
      visit(view_access::keys(part.kv()));
      visit(part.kv().stored_values());
    }
  }
}

std::pair<const void*, std::int64_t> place_of(const at::Tensor& tensor) {
  return {tensor.const_data_ptr(), static_cast<std::int64_t>(tensor.nbytes())};
}

}  // namespace

void injected_memory::add(const plan& input) {
  for_each_injected(input, [&](const at::Tensor& tensor) {
    const auto place = place_of(tensor);
    if (++uses_[place] == 1) {
      bytes_ += place.second;
    }
  });
}

void injected_memory::remove(const plan& input) {
  for_each_injected(input, [&](const at::Tensor& tensor) {
    const auto found = uses_.find(place_of(tensor));
    if (--found->second == 0) {
      bytes_ -= found->first.second;
      uses_.erase(found);
    }
  });
}

}  // namespace kvtransfer::detail
