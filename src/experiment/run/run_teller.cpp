#include "experiment/run/run_teller.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <thread>
#include <utility>

#include "kvtransfer/core/error.hpp"
#include "model/peak_memory.hpp"

namespace kvtransfer::detail {

namespace {

using namespace std::chrono_literals;

constexpr auto between_questions = 200ms;
constexpr auto between_looks = 20ms;

// Counters of a group.
constexpr const char* trials_counter = "trials";  // finished, and on a disk
constexpr const char* tokens_counter = "tokens";
constexpr const char* left_counter = "left";  // processes that have nothing left to do

/// What a process took at most is a counter of its own, as counters can only be added up.
std::string peak_of(const char* where, std::int64_t rank) { return fmt::format("peak/{}/{}", where, rank); }

}  // namespace

run_teller::run_teller(process_group& group, c10::Device device, const progress_callback& report, std::int64_t total,
                       std::int64_t waiting)
    : group_(group), device_(device), report_(report), waiting_(waiting), exchanged_(start_) {
  progress_.done = total - waiting;
  progress_.total = total;
  progress_.cost.processes = group.size();
}

void run_teller::stepped(std::int64_t count) {
  new_tokens_ += count;
  tell();
}

void run_teller::finished(const std::string& test, const std::string& condition) {
  ++new_trials_;
  progress_.test = test;
  progress_.condition = condition;
  tell();
}

void run_teller::exchange() {
  run_cost& cost = progress_.cost;
  cost.tokens = group_.add(tokens_counter, std::exchange(new_tokens_, 0));
  cost.trials = group_.add(trials_counter, std::exchange(new_trials_, 0));
  exchanged_ = clock::now();
}

void run_teller::tell() {
  if (group_.size() == 1 || clock::now() - exchanged_ >= between_questions) {
    exchange();
  }
  run_cost& cost = progress_.cost;
  cost.seconds = std::chrono::duration<double>(clock::now() - start_).count();
  cost.peak_host_bytes = peak_host_memory();
  cost.peak_device_bytes = peak_device_memory(device_);
  progress_.done = progress_.total - waiting_ + cost.trials;
  if (report_) {
    report_(progress_);
  }
}

void run_teller::leave() {
  group_.add(peak_of("host", group_.rank()), peak_host_memory());
  group_.add(peak_of("device", group_.rank()), peak_device_memory(device_).value_or(0));
  exchange();
  group_.add(left_counter, 1);
}

void run_teller::wait_for_others() {
  run_cost& cost = progress_.cost;
  for (bool all_left = false; cost.trials < waiting_; exchange()) {
    if (all_left) {
      fail<process_group_error>("process group", "trials", fmt::format("{} finished by its processes", waiting_),
                                fmt::format("{}, and nobody at work", cost.trials));
    }
    tell();
    std::this_thread::sleep_for(between_looks);
    all_left = group_.add(left_counter, 0) >= group_.size();
  }
  tell();
  for (std::int64_t rank = 0; rank < group_.size(); ++rank) {
    cost.peak_host_bytes = std::max(cost.peak_host_bytes, group_.add(peak_of("host", rank), 0));
    if (cost.peak_device_bytes) {
      cost.peak_device_bytes = std::max(*cost.peak_device_bytes, group_.add(peak_of("device", rank), 0));
    }
  }
}

}  // namespace kvtransfer::detail
