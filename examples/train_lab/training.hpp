#pragma once

#include <ATen/core/Tensor.h>
#include <ATen/ops/cross_entropy_loss.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/zeros.h>
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <functional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "adamw.hpp"
#include "batch_stream.hpp"
#include "bfloat16_autocast.hpp"
#include "checkpoint.hpp"
#include "kvtransfer/model/causal_logits.hpp"
#include "kvtransfer/model/config.hpp"
#include "kvtransfer/model/tokenizers/any_tokenizer.hpp"
#include "kvtransfer/model/weights.hpp"
#include "rows.hpp"
#include "settings.hpp"

namespace kvtransfer::train_lab {

/// Prints at once, so that a run can be followed through a pipe.
template <class... Args>
void say(fmt::format_string<Args...> text, Args&&... args) {
  fmt::print(text, std::forward<Args>(args)...);
  fmt::print("\n");
  std::fflush(stdout);
}

/// The batch of one step, made anew from the seed. @return [rows, sequence_length + 1] int64
inline at::Tensor make_batch(const any_tokenizer& subwords, const recipe& plan, std::int64_t step) {
  const auto width = static_cast<std::size_t>(plan.sequence_length + 1);
  at::Tensor batch = at::empty({plan.rows(), plan.sequence_length + 1}, at::kLong);
  for (std::int64_t row = 0; row < plan.rows(); ++row) {
    fill_row(subwords, plan.seed, step, row,
             {batch.mutable_data_ptr<std::int64_t>() + row * static_cast<std::int64_t>(width), width});
  }
  return batch;
}

/// Adds the gradients of the mean loss over a batch's tokens, a part of its rows at a time.
/// @param batch [rows, sequence_length + 1] int64, on the weights' device
/// @return [] the loss, nats a token
inline at::Tensor accumulate_gradients(const model_config& config, const model_weights& weights,
                                       const at::Tensor& batch, std::int64_t rows_at_once) {
  const std::int64_t rows = batch.size(0);
  const std::int64_t length = batch.size(1) - 1;
  at::Tensor total = at::zeros({}, batch.options().dtype(at::kFloat));
  for (std::int64_t first = 0; first < rows; first += rows_at_once) {
    const at::Tensor part = batch.narrow(0, first, std::min(rows_at_once, rows - first));
    at::Tensor loss;
    {
      const bfloat16_autocast narrow{batch.device()};
      const at::Tensor logits = causal_logits(config, weights, part.narrow(1, 0, length));
      const at::Tensor wanted = part.narrow(1, 1, length).reshape({-1});
      loss = at::cross_entropy_loss(logits.flatten(0, 1), wanted) *
             (static_cast<double>(part.size(0)) / static_cast<double>(rows));
    }
    loss.backward();
    total += loss.detach();
  }
  return total;
}

/// Says how a run goes: step, loss, norm of the gradients, rate, tokens a second since the last line.
class progress {
 public:
  void report(const recipe& plan, std::int64_t step, std::int64_t steps_since, double loss, double norm) {
    const auto now = std::chrono::steady_clock::now();
    const double seconds = std::chrono::duration<double>(now - last_).count();
    say("step {:5}/{}  loss {:.4f}  gradient {:.3f}  rate {:.2e}  {:.0f} tokens/s", step + 1, plan.steps, loss, norm,
        learning_rate(plan, step), static_cast<double>(steps_since * plan.batch_tokens) / seconds);
    last_ = now;
  }
  /// Leaves out the time since the last line, spent on something else than training.
  void restart() { last_ = std::chrono::steady_clock::now(); }

 private:
  std::chrono::steady_clock::time_point last_ = std::chrono::steady_clock::now();
};

/// Threads that make batches: what the run asks for, else all processors but two, and at least one.
inline std::int64_t data_threads(const run_settings& run) {
  const auto spare = static_cast<std::int64_t>(std::thread::hardware_concurrency()) - 2;
  return run.data_threads > 0 ? run.data_threads : std::max<std::int64_t>(1, spare);
}

/// Trains `weights` in place, from the checkpoint in the output folder where the run resumes.
/// @param measure called with the number of steps done whenever a checkpoint has been written, the last step excepted
inline void train(const model_config& config, model_weights& weights, const any_tokenizer& subwords, const recipe& plan,
                  const run_settings& run, at::Device device, const std::function<void(std::int64_t)>& measure) {
  const std::filesystem::path checkpoint = run.output / "checkpoint.safetensors";
  std::vector<std::pair<std::string, at::Tensor>> parameters;
  for_each_parameter(weights,
                     [&](const std::string& name, at::Tensor& parameter) { parameters.emplace_back(name, parameter); });
  adamw optimizer{parameters};
  const std::int64_t first = run.resume ? load_checkpoint(checkpoint, optimizer, identity_of(plan)) : 0;
  batch_stream batches{[&](std::int64_t step) { return make_batch(subwords, plan, step); }, first, plan.steps,
                       data_threads(run)};
  progress shown;
  std::int64_t last_shown = first - 1;
  for (std::int64_t step = first; step < plan.steps; ++step) {
    const at::Tensor batch = batches.next().to(device);
    const at::Tensor loss = accumulate_gradients(config, weights, batch, plan.rows_at_once);
    const at::Tensor norm = optimizer.clip_gradients(plan.clip);
    optimizer.step(learning_rate(plan, step), plan.weight_decay);
    if ((step + 1) % run.report_every == 0 || step + 1 == plan.steps) {
      shown.report(plan, step, step - last_shown, loss.item<double>(), norm.item<double>());
      last_shown = step;
    }
    if ((step + 1) % run.measure_every == 0 || step + 1 == plan.steps) {
      save_checkpoint(checkpoint, optimizer, identity_of(plan), step + 1);
      if (step + 1 < plan.steps) {
        measure(step + 1);
      }
      shown.restart();
    }
  }
}

}  // namespace kvtransfer::train_lab
