#include "gradient_exchange.hpp"

#include <ATen/ops/cat.h>
#include <ATen/ops/from_blob.h>
#include <c10/util/Exception.h>
#include <fmt/format.h>

#include <charconv>
#include <cstdlib>
#include <optional>
#include <string_view>
#include <system_error>
#include <torch/csrc/distributed/c10d/PrefixStore.hpp>
#include <torch/csrc/distributed/c10d/TCPStore.hpp>
#include <utility>

#include "kvtransfer/core/error.hpp"
#include "kvtransfer/experiment/device_choice.hpp"
#include "nccl_sum.hpp"

namespace kvtransfer::train_projector {

namespace {

using shared_store = c10::intrusive_ptr<c10d::Store>;

std::optional<std::string> variable(const char* name) {
  const char* const value = std::getenv(name);
  return value == nullptr ? std::nullopt : std::optional<std::string>(value);
}

std::int64_t number_in(const char* name, std::int64_t low, std::int64_t high) {
  const std::string text = variable(name).value_or("");
  std::int64_t value = low - 1;
  const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), value);
  const bool whole = problem == std::errc{} && end == text.data() + text.size();
  require<value_error>(whole && value >= low && value <= high, "environment", name,
                       formatted("a whole number from {} to {}", low, high), formatted("\"{}\"", text));
  return value;
}

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
    flat = sum;
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

/// torchrun's own store, or one that the first process holds.
shared_store open_store(std::int64_t rank, std::int64_t size) {
  c10d::TCPStoreOptions options;
  options.port = static_cast<std::uint16_t>(number_in("MASTER_PORT", 1, 65535));
  options.isServer = rank == 0 && variable("TORCHELASTIC_USE_AGENT_STORE") != "True";
  options.numWorkers = static_cast<std::size_t>(size);
  const std::string restart = variable("TORCHELASTIC_RESTART_COUNT").value_or("0");
  const std::string host = variable("MASTER_ADDR").value_or("127.0.0.1");
  try {
    return c10::make_intrusive<c10d::PrefixStore>("train_projector/" + restart,
                                                  c10::make_intrusive<c10d::TCPStore>(host, options));
  } catch (const c10::Error& problem) {
    const std::string_view what = problem.what_without_backtrace();
    fail<value_error>("environment", "MASTER_ADDR", "a host whose store answers", what.substr(0, what.find('\n')));
  }
}

}  // namespace

gradient_exchange gradient_exchange::from_environment(const std::string& device) {
  gradient_exchange exchange;
  exchange.device_ = device;
  if (!variable("WORLD_SIZE")) {
    return exchange;
  }
  constexpr std::int64_t most = 4096;
  exchange.size_ = number_in("WORLD_SIZE", 1, most);
  exchange.rank_ = number_in("RANK", 0, exchange.size_ - 1);
  if (!choose_device(device).is_cpu() && (device == "auto" || device == "cuda")) {
    exchange.device_ = fmt::format("cuda:{}", number_in("LOCAL_RANK", 0, exchange.size_ - 1));
  }
  const at::Device chosen = choose_device(exchange.device_);
  shared_store store = open_store(exchange.rank_, exchange.size_);
  if (chosen.is_cpu()) {
    exchange.sum_ = std::make_shared<store_sum>(std::move(store), exchange.rank_, exchange.size_);
  } else {
    exchange.sum_ = nccl_sum(std::move(store), exchange.rank_, exchange.size_, chosen);
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
