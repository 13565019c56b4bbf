#pragma once

#include <ATen/core/Tensor.h>
#include <c10/core/Event.h>
#include <c10/core/impl/VirtualGuardImpl.h>
#include <time.h>

#include <algorithm>
#include <functional>
#include <vector>

namespace kvtransfer::bench {

/// Time that one call took, in seconds.
struct duration {
  double wall = 0;
  double processor = 0;  ///< of all threads together; on a machine shared with others it is the steadier of the two
};

inline double seconds_on(clockid_t clock) {
  timespec time;
  clock_gettime(clock, &time);
  return static_cast<double>(time.tv_sec) + 1e-9 * static_cast<double>(time.tv_nsec);
}

inline duration time_on_cpu(const std::function<void()>& work) {
  const double wall = seconds_on(CLOCK_MONOTONIC);
  const double processor = seconds_on(CLOCK_PROCESS_CPUTIME_ID);
  work();
  return {seconds_on(CLOCK_MONOTONIC) - wall, seconds_on(CLOCK_PROCESS_CPUTIME_ID) - processor};
}

/// Between two events of the current stream, so what the host does before the kernel starts counts too.
inline duration time_on_gpu(at::Device device, const std::function<void()>& work) {
  const c10::Stream stream = c10::impl::VirtualGuardImpl(device.type()).getStream(device);
  c10::Event start(device.type(), c10::EventFlag::BACKEND_DEFAULT);
  c10::Event stop(device.type(), c10::EventFlag::BACKEND_DEFAULT);
  stream.synchronize();
  start.record(stream);
  work();
  stop.record(stream);
  stop.synchronize();
  return {start.elapsedTime(stop) * 1e-3, 0};
}

inline duration time_once(at::Device device, const std::function<void()>& work) {
  return device.is_cpu() ? time_on_cpu(work) : time_on_gpu(device, work);
}

inline double median(std::vector<double> values) {
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

/// Several ways to do one thing, run by turns, so that a machine which slows down slows all of them.
class interleaved_timing {
 public:
  /// @param before runs before each, so that all find the caches in one state
  interleaved_timing(
      at::Device device, std::vector<std::function<void()>> ways, std::function<void()> before = [] {})
      : device_(device), ways_(std::move(ways)), before_(std::move(before)), rounds_(ways_.size()) {
    for (const auto& way : ways_) {
      time_once(device_, way);
    }
  }

  /// Runs each way once; returns the time of the first.
  double round() {
    for (std::size_t i = 0; i < ways_.size(); ++i) {
      before_();
      rounds_[i].push_back(time_once(device_, ways_[i]));
    }
    return rounds_.front().back().wall;
  }

  double median_seconds(std::size_t way) const {
    return median_of([&](std::size_t round) { return rounds_[way][round].wall; });
  }
  /// The median, over rounds, of the first way's time by another's.
  double ratio_to(std::size_t way) const {
    return median_of([&](std::size_t round) { return rounds_[0][round].wall / rounds_[way][round].wall; });
  }
  /// The same of processor time; CPU only.
  double processor_ratio_to(std::size_t way) const {
    return median_of([&](std::size_t round) { return rounds_[0][round].processor / rounds_[way][round].processor; });
  }

 private:
  template <class Value>
  double median_of(const Value& value) const {
    std::vector<double> values;
    for (std::size_t round = 0; round < rounds_.front().size(); ++round) {
      values.push_back(value(round));
    }
    return median(std::move(values));
  }

  at::Device device_;
  std::vector<std::function<void()>> ways_;
  std::function<void()> before_;
  std::vector<std::vector<duration>> rounds_;
};

}  // namespace kvtransfer::bench
