#pragma once

#include <ATen/core/Tensor.h>

#include <condition_variable>
#include <cstdint>
#include <exception>
#include <functional>
#include <map>
#include <mutex>
#include <stop_token>
#include <thread>
#include <utility>
#include <vector>

namespace kvtransfer::train_lab {

/// Batches made ahead of time by background threads, handed out in the order of their steps.
class batch_stream {
 public:
  using maker = std::function<at::Tensor(std::int64_t step)>;

  /// @param make called from several threads at once, for every step in [first, end)
  batch_stream(maker make, std::int64_t first, std::int64_t end, std::int64_t threads)
      : make_(std::move(make)), next_made_(first), next_taken_(first), end_(end), ahead_(2 * threads) {
    for (std::int64_t index = 0; index < threads; ++index) {
      workers_.emplace_back([this](std::stop_token stop) { work(stop); });
    }
  }

  /// Waits for the next step's batch. @throws whatever making it threw
  at::Tensor next() {
    std::unique_lock lock{mutex_};
    changed_.wait(lock, [&] { return failure_ || ready_.contains(next_taken_); });
    if (failure_) {
      std::rethrow_exception(failure_);
    }
    at::Tensor batch = std::move(ready_.extract(next_taken_++).mapped());
    changed_.notify_all();
    return batch;
  }

 private:
  void work(const std::stop_token& stop) {
    try {
      for (std::int64_t step = 0; claim(stop, step);) {
        at::Tensor batch = make_(step);
        const std::scoped_lock lock{mutex_};
        ready_.emplace(step, std::move(batch));
        changed_.notify_all();
      }
    } catch (...) {
      const std::scoped_lock lock{mutex_};
      failure_ = std::current_exception();
      changed_.notify_all();
    }
  }

  /// Takes the next step to make; waits while enough batches lie ready. False when there is nothing left to do.
  bool claim(const std::stop_token& stop, std::int64_t& step) {
    std::unique_lock lock{mutex_};
    const bool wanted =
        changed_.wait(lock, stop, [&] { return next_made_ >= end_ || next_made_ < next_taken_ + ahead_; });
    if (!wanted || next_made_ >= end_) {
      return false;
    }
    step = next_made_++;
    return true;
  }

  maker make_;
  std::mutex mutex_;
  std::condition_variable_any changed_;
  std::map<std::int64_t, at::Tensor> ready_;
  std::int64_t next_made_;
  std::int64_t next_taken_;
  std::int64_t end_;
  std::int64_t ahead_;
  std::exception_ptr failure_;
  std::vector<std::jthread> workers_;  // last: they stop before what they use is gone
};

}  // namespace kvtransfer::train_lab
