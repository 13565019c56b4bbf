#include "model/plan_signature.hpp"

#include <ATen/core/Tensor.h>

#include "kvtransfer/cache/detail/view_access.hpp"

namespace kvtransfer::detail {

namespace {

std::int64_t number_of(const void* address) {
  return static_cast<std::int64_t>(reinterpret_cast<std::uintptr_t>(address));  // NOLINT(*-reinterpret-cast)
}

void add(std::vector<std::int64_t>& signature, const at::Tensor& tensor) {
  signature.push_back(tensor.defined() ? number_of(tensor.const_data_ptr()) : 0);
  if (tensor.defined()) {
    signature.insert(signature.end(), tensor.sizes().begin(), tensor.sizes().end());
    signature.insert(signature.end(), tensor.strides().begin(), tensor.strides().end());
  }
}

}  // namespace

std::vector<std::int64_t> signature_of(const plan& input) {
  const std::vector<std::int64_t>& ids = input.token_ids.front();
  std::vector<std::int64_t> signature = ids;
  const std::vector<std::int64_t> positions = input.positions.row(0, 0, 0).positions();
  signature.insert(signature.end(), positions.begin(), positions.end());
  for (const std::vector<segment>& layer : input.layers) {
    signature.push_back(static_cast<std::int64_t>(layer.size()));
    for (const segment& part : layer) {
      add(signature, view_access::key_storage(part.kv()).blocks);
      add(signature, part.kv().value_storage().blocks);
      add(signature, part.visible);
      signature.push_back(number_of(part.kv().shared_frame().get()));
      signature.push_back(part.origin().assumed() ? 1 : 0);
    }
  }
  signature.push_back(static_cast<std::int64_t>(ids.size()));
  return signature;
}

}  // namespace kvtransfer::detail
