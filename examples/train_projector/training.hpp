#pragma once

#include <ATen/Context.h>
#include <ATen/core/Generator.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/_foreach_div.h>
#include <ATen/ops/_foreach_mul.h>
#include <ATen/ops/tensor.h>
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "../train_lab/adamw.hpp"
#include "../train_lab/bfloat16_autocast.hpp"
#include "../train_lab/checkpoint.hpp"
#include "../train_lab/corpus/dice.hpp"
#include "gradient_exchange.hpp"
#include "kvtransfer/model/plan_logits.hpp"
#include "kvtransfer/project/projectors/fuser.hpp"
#include "kvtransfer/tensor/position_tensor.hpp"
#include "rows.hpp"
#include "settings.hpp"

namespace kvtransfer::train_projector {

/// Prints at once, so that a run can be followed through a pipe.
template <class... Args>
void say(fmt::format_string<Args...> text, Args&&... args) {
  fmt::print(text, std::forward<Args>(args)...);
  fmt::print("\n");
  std::fflush(stdout);
}

/// What a run has cost so far, that of earlier parts of a resumed run left out.
struct training_cost {
  double seconds = 0;
  std::int64_t tokens = 0;  ///< read by either model
  double last_loss = 0;     ///< nats a response token, of the last step
};

/// The rows of one step that fall to this process: the same for the same step.
using row_maker = std::function<std::vector<training_row>(std::int64_t step)>;

/// A fuser whose every tensor is one of its own, on `device`: nothing is written through to a file.
inline projectors::fuser own_copy(const projectors::fuser& source, at::Device device) {
  std::vector<fuser_layer> layers = source.weights();
  detail::for_each_fuser_tensor(layers, source.shape(), [&](const std::string&, at::Tensor& tensor, const auto&) {
    tensor = tensor.detach().to(at::kFloat).to(device).clone();
  });
  return {source.rotation(), source.shape(), source.schedule(), std::move(layers)};
}

/// How far a cache is from another of the same slots, padding left out: the squares of what differs over those of what
/// varies from slot to slot, of each layer's keys and values; their mean. 0: the same numbers.
inline at::Tensor cache_distance(const cache_view<>& made, const cache_view<>& expected) {
  at::Tensor sum;
  for (std::int64_t i = 0; i < expected.layers(); ++i) {
    const layer_view<>& right = expected.layer(i);
    const at::Tensor held = validity_tensor(right.frame().positions, right.device()).unsqueeze(-1).to(at::kFloat);
    const auto add = [&](const at::Tensor& given, const at::Tensor& wanted) {
      const at::Tensor mean =
          wanted.mul(held).sum(at::IntArrayRef({0, 2}), true).div(held.sum(at::IntArrayRef({0, 2}), true));
      const at::Tensor share =
          given.sub(wanted).square().mul(held).sum().div(wanted.sub(mean).square().mul(held).sum());
      sum = sum.defined() ? sum.add(share) : share;
    };
    add(made.layer(i).keys(), right.keys());
    add(made.layer(i).values(), right.values());
  }
  return sum.div(2 * expected.layers());
}

/// A generator of its own on a device.
inline at::Generator seeded_generator(at::Device device, std::uint64_t seed) {
  at::Generator generator = at::globalContext().defaultGenerator(device).clone();
  generator.set_current_seed(seed);
  return generator;
}

/// Adds the gradients of the mean loss over a step's response tokens, some rows at a time, and of the distance from the
/// receiver's own cache of the text where the recipe gives it weight.
/// @return the former, nats a token
/// @param rank of this process, so that no two draw the same noise
inline double accumulate_gradients(const model_pair& models, const projectors::fuser& fuser, const recipe& plan,
                                   std::int64_t step, const std::vector<training_row>& rows, std::int64_t rank = 0) {
  const std::int64_t tokens = response_tokens(rows);
  double total = 0;
  for (std::size_t first = 0; first < rows.size(); first += static_cast<std::size_t>(plan.rows_at_once)) {
    const std::size_t end = std::min(rows.size(), first + static_cast<std::size_t>(plan.rows_at_once));
    const std::vector<training_row> part(rows.begin() + static_cast<std::ptrdiff_t>(first),
                                         rows.begin() + static_cast<std::ptrdiff_t>(end));
    const at::Generator draws =
        seeded_generator(models.receiver.device(),
                         corpus::mixed_seed(plan.seed, static_cast<std::uint64_t>(step), first + rank * plan.rows));
    const cache receiver = prefill(models.receiver, column(part, &training_row::receiver));
    const cache source = source_cache(models, part, receiver.view());
    at::Tensor loss;
    at::Tensor distance;
    {
      std::optional<train_lab::bfloat16_autocast> narrow;
      if (plan.bfloat16) {
        narrow.emplace(models.receiver.device());
      }
      const cache fused = project(fuser.in_training(step, draws), source.view(), receiver.view());
      const at::Tensor logits = plan_logits(
          models.receiver, models.between.read(models.receiver, fused.view(), column(part, &training_row::target)));
      loss = response_loss(logits, part).div(tokens);
      if (plan.cache_weight > 0) {
        const cache own = prefill(models.receiver, column(part, &training_row::text));
        distance = cache_distance(fused.view(), own.view())
                       .mul(plan.cache_weight * static_cast<double>(part.size()) / static_cast<double>(rows.size()));
      }
    }
    (distance.defined() ? loss.add(distance) : loss).backward();
    total += loss.item<double>();
  }
  return total;
}

/// The gradients of all processes' rows, each process's by its share of the response tokens, in place of those of this
/// one's; and the loss and the tokens read of all.
/// @param loss nats a response token, of this process's rows @param response, read tokens of this process's rows
inline std::pair<double, std::int64_t> share_gradients(
    const gradient_exchange& processes, const std::vector<std::pair<std::string, at::Tensor>>& parameters, double loss,
    std::int64_t response, std::int64_t read) {
  if (processes.alone()) {
    return {loss, read};
  }
  std::vector<at::Tensor> sums;
  for (const auto& [name, parameter] : parameters) {
    sums.push_back(parameter.grad());
  }
  at::_foreach_mul_(sums, response);
  const at::Tensor counts =
      at::tensor({loss * static_cast<double>(response), static_cast<double>(response), static_cast<double>(read)},
                 at::kFloat)
          .to(sums.front().device());
  sums.push_back(counts);
  processes.add_up(sums);
  const at::Tensor totals = counts.cpu();
  const auto total = [&](std::int64_t i) { return static_cast<double>(totals[i].item<float>()); };
  sums.pop_back();
  at::_foreach_div_(sums, total(1));
  return {total(0) / total(1), static_cast<std::int64_t>(total(2))};
}

/// Trains a fuser through the frozen receiver, from the checkpoint in `output` where the run resumes.
/// @param identity what two runs must share: the recipe and the models
/// @param processes that train it together, each with rows of its own; the leading one writes and measures
/// @param report_every steps between lines of progress, whose tokens a second are those since the line before
/// @param checkpoint_every steps between checkpoints
/// @param measure called with what is trained, its gates hard, and the steps done, whenever a checkpoint was written
/// @return the fuser, finished, and what it cost
inline std::pair<projectors::fuser, training_cost> train(
    const model_pair& models, const projectors::fuser& initial, const recipe& plan, const std::string& identity,
    const std::filesystem::path& output, bool resume, std::int64_t report_every, std::int64_t checkpoint_every,
    const row_maker& make_rows, const std::function<void(const projectors::fuser&, std::int64_t)>& measure,
    const gradient_exchange& processes = {}) {
  const projectors::fuser fuser = own_copy(initial, models.receiver.device());
  std::vector<std::pair<std::string, at::Tensor>> parameters;
  fuser.for_each_tensor(
      [&](const std::string& name, const at::Tensor& tensor) { parameters.emplace_back(name, tensor); });
  constexpr double second_decay = 0.999;
  train_lab::adamw optimizer{parameters, second_decay};
  const std::filesystem::path checkpoint = output / "checkpoint.safetensors";
  const std::int64_t begin = resume ? train_lab::load_checkpoint(checkpoint, optimizer, identity) : 0;
  training_cost cost;
  training_cost told;  // at the last line of progress, or behind a measurement
  const auto started = std::chrono::steady_clock::now();
  const auto seconds = [&] {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - started).count();
  };
  for (std::int64_t step = begin; step < plan.steps; ++step) {
    const std::vector<training_row> rows = make_rows(step);
    std::int64_t read = 0;
    for (const training_row& row : rows) {
      read += static_cast<std::int64_t>(row.source.size() + row.receiver.size() + row.target.size());
    }
    const double loss = accumulate_gradients(models, fuser, plan, step, rows, processes.rank());
    const auto [loss_of_all, read_by_all] = share_gradients(processes, parameters, loss, response_tokens(rows), read);
    cost.last_loss = loss_of_all;
    cost.tokens += read_by_all;
    const double norm = optimizer.clip_gradients(plan.clip).item<double>();
    optimizer.step(learning_rate(plan, step), plan.weight_decay);
    cost.seconds = seconds();
    if (!processes.leads()) {
      continue;
    }
    if ((step + 1) % report_every == 0 || step + 1 == plan.steps) {
      say("step {:5}/{}  loss {:.4f}  gradient {:.3f}  rate {:.2e}  {} tokens in {:.0f} s, {:.0f} tokens/s", step + 1,
          plan.steps, cost.last_loss, norm, learning_rate(plan, step), cost.tokens, cost.seconds,
          static_cast<double>(cost.tokens - told.tokens) / (cost.seconds - told.seconds));
      told = cost;
    }
    if ((step + 1) % checkpoint_every == 0 || step + 1 == plan.steps) {
      train_lab::save_checkpoint(checkpoint, optimizer, identity, step + 1);
      measure(own_copy(fuser, models.receiver.device()), step + 1);
      told = {.seconds = seconds(), .tokens = cost.tokens};
    }
  }
  return {own_copy(fuser, models.receiver.device()), cost};
}

}  // namespace kvtransfer::train_projector
