#include "gradient_exchange.hpp"

#include <ATen/ops/cat.h>
#include <ATen/ops/from_blob.h>
#include <fmt/format.h>

#include <torch/csrc/distributed/c10d/Store.hpp>
#include <utility>

#include "kvtransfer/core/error.hpp"
#include "kvtransfer/experiment/device_choice.hpp"
#include "kvtransfer/experiment/torchrun_store.hpp"
#include "kvtransfer/experiment/torchrun_variables.hpp"
#include "nccl_sum.hpp"

namespace kvtransfer::train_projector {

namespace {

using shared_store = c10::intrusive_ptr<c10d::Store>;

/// Sums by way of a store: every process leaves its numbers there and adds up those of all, in the same order.
class store_sum final : public gradient_exchange::sum {
 public:
  store_sum(shared_store store, std::int64_t rank, std::int64_t size)
      : store_(std::move(store)), rank_(rank), size_(size) {}

  void add_up(at::Tensor& flat) override {
    const auto bytes = static_cast<std::size_t>(flat.nbytes());
    const auto* const own = static_cast<const std::uint8_t*>(flat.const_data_ptr());
    store_->set(key(round_, rank_), std::vector<std::uint8_t>(own, own + bytes));
    at::Tensor sum = flat.new_zeros(flat.sizes());
    for (std::int64_t rank = 0; rank < size_; ++rank) {
      std::vector<std::uint8_t> theirs = store_->get(key(round_, rank));
      require<value_error>(theirs.size() == bytes, "gradient_exchange", "process",
                           formatted("{} bytes, as here", bytes), formatted("{} of process {}", theirs.size(), rank));
      sum.add_(at::from_blob(theirs.data(), flat.sizes(), flat.options()));
    }
    flat = std::move(sum);
    if (round_ > 0) {  // all have left this round's numbers, so all have read the round's before
      store_->deleteKey(key(round_ - 1, rank_));
    }
    ++round_;
  }

 private:
  [[nodiscard]] static std::string key(std::int64_t round, std::int64_t rank) {
    return fmt::format("sum/{}/{}", round, rank);
  }

  shared_store store_;
  std::int64_t rank_;
  std::int64_t size_;
  std::int64_t round_ = 0;
};

}  // namespace

gradient_exchange gradient_exchange::from_environment(const std::string& device) {
  gradient_exchange exchange;
  exchange.device_ = device;
  const auto told = torchrun_variables::read();
  if (!told) {
    return exchange;
  }
  exchange.rank_ = told->rank;
  exchange.size_ = told->size;
  const at::Device chosen = choose_device(device, told->local_rank, told->local_size);
  exchange.device_ = chosen.str();
  shared_store store = open_store(*told, "train_projector", store_opening::with_all);
  if (chosen.is_cpu()) {
    exchange.sum_ = std::make_shared<store_sum>(std::move(store), told->rank, told->size);
  } else {
    exchange.sum_ = nccl_sum(std::move(store), told->rank, told->size, chosen);
  }
  return exchange;
}

void gradient_exchange::add_up(const std::vector<at::Tensor>& tensors) const {
  if (sum_ == nullptr || tensors.empty()) {
    return;
  }
  std::vector<at::Tensor> pieces;
  for (const at::Tensor& tensor : tensors) {
    pieces.push_back(tensor.detach().flatten());
  }
  at::Tensor flat = at::cat(pieces);
  sum_->add_up(flat);
  std::int64_t begin = 0;
  for (const at::Tensor& tensor : tensors) {
    tensor.detach().copy_(flat.narrow(0, begin, tensor.numel()).view(tensor.sizes()));
    begin += tensor.numel();
  }
}

}  // namespace kvtransfer::train_projector
