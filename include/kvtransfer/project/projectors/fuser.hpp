#pragma once

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/gelu_ops.h>
#include <ATen/ops/linear_ops.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <cmath>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "kvtransfer/core/error.hpp"
#include "kvtransfer/project/concepts.hpp"
#include "kvtransfer/project/detail/digest.hpp"
#include "kvtransfer/project/detail/slot_window.hpp"
#include "kvtransfer/project/fuser_shape.hpp"
#include "kvtransfer/project/fuser_weights.hpp"
#include "kvtransfer/project/head_shape.hpp"
#include "kvtransfer/project/layer_alignment.hpp"
#include "kvtransfer/tensor/checks.hpp"
#include "kvtransfer/tensor/operations.hpp"

namespace kvtransfer::projectors {

/// Cache-to-Cache's fuser: what is added to the receiver's keys and values is computed from them and the source's,
/// token by token, with a weight for each token and head and a gate for each layer's keys and values. Beyond
/// Cache-to-Cache it may read several layers of the source, and the slots before a token.
///
/// As a rule the gates are hard: a tower whose logit is 0 or less adds nothing. While it is trained they are soft and
/// noisy, see `in_training`.
/// Source: Fu et al., "Cache-to-Cache: direct semantic communication between large language models" (2025), and
/// thu-nics/C2C, rosetta/model/projector.py, whose C2CProjector it equals.
class fuser {
 public:
  static constexpr std::string_view name = "fuser";  ///< as in files and edits

  /// @param layers one per layer of the receiver
  /// @throws shape_error, naming the tensor, where one is not of its shape; value_error for sizes and settings out of
  ///         their range
  fuser(key_rotation rotation, const fuser_shape& shape, const fuser_schedule& schedule,
        std::vector<fuser_layer> layers)
      : rotation_(rotation), shape_(shape), schedule_(schedule), layers_(std::move(layers)) {
    detail::require_valid(shape_, "projectors::fuser");
    detail::require_valid(schedule_, "projectors::fuser");
    detail::projector_digest digest;
    digest.add(to_string(rotation));
    for (const fuser_layer& layer : layers_) {
      digest.add(fmt::format("[{}]", fmt::join(layer.source_layers, ",")));
    }
    if (shape_.source_slots > 1) {
      digest.add(fmt::format("{} slots", shape_.source_slots));
    }
    detail::for_each_fuser_tensor(
        layers_, shape_,
        [&](const std::string& tensor_name, const at::Tensor& tensor, const std::vector<std::int64_t>& sizes) {
          detail::require_sizes(tensor, sizes, "projectors::fuser", tensor_name);
          digest.add(tensor_name, tensor);
        });
    digest_ = digest.text();
  }

  /// A fuser to begin training with, its gates on the edge: matrices and biases uniform in ±1/√inputs, as torch.nn's
  /// Linear draws them, norms 1, gate logits 0.
  /// @param aligned layers of the source for each of the receiver; C2C reads one
  /// @return fp32 on the CPU, the same for the same seed
  [[nodiscard]] static fuser random(key_rotation rotation, const fuser_shape& shape, const fuser_schedule& schedule,
                                    const layer_alignment& aligned, std::uint64_t seed) {
    detail::require_valid(shape, "projectors::fuser");
    at::Generator draws = at::detail::createCPUGenerator(seed);
    std::vector<fuser_layer> layers;
    for (const std::vector<std::int64_t>& chosen : aligned) {
      fuser_layer& layer = layers.emplace_back();
      layer.source_layers = chosen;
      layer.keys.value_blocks.resize(static_cast<std::size_t>(shape.value_blocks));
      layer.values.value_blocks.resize(static_cast<std::size_t>(shape.value_blocks));
    }
    double bound = 0;
    detail::for_each_fuser_tensor(
        layers, shape, [&](const std::string& tensor_name, at::Tensor& tensor, const std::vector<std::int64_t>& sizes) {
          tensor = detail::new_tensor(sizes, at::kFloat);
          if (sizes.size() == 2) {
            bound = 1 / std::sqrt(static_cast<double>(sizes.back()));
          }
          if (sizes.empty()) {
            tensor.zero_();
          } else if (tensor_name.ends_with("norm.weight")) {
            tensor.fill_(1);
          } else {  // a bias follows its matrix
            tensor.uniform_(-bound, bound, draws);
          }
        });
    return {rotation, shape, schedule, std::move(layers)};
  }

  /// The same numbers, to be trained at `step`: gates are σ((logit + noise) / temperature) with Gumbel noise for each
  /// token and head, and a share of every block's output is dropped.
  /// @param draws of noise and of what is dropped; those of a generator on the host are the same wherever the fuser is,
  ///        but as many numbers as a GPU uses take the host longer than the rest of a step
  [[nodiscard]] fuser in_training(std::int64_t step, at::Generator draws) const {
    fuser trained = *this;
    trained.training_ = training{schedule_.temperature(step), std::move(draws)};
    trained.digest_ = fmt::format("in training at step {}", step);
    return trained;
  }

  /// What `Projector` asks for.
  /// @{
  [[nodiscard]] projection_effect effect() const { return projection_effect::adds; }
  [[nodiscard]] key_rotation rotation() const { return rotation_; }
  [[nodiscard]] std::int64_t layers() const { return static_cast<std::int64_t>(layers_.size()); }
  [[nodiscard]] std::vector<std::int64_t> source_layers(std::int64_t layer) const { return at(layer).source_layers; }
  [[nodiscard]] std::string digest() const { return digest_; }
  /// @throws shape_error for a source or a receiver of another shape
  [[nodiscard]] layer_kv project(std::int64_t layer, const projection_input& input) const {
    const fuser_layer& towers = at(layer);
    std::vector<at::Tensor> keys;
    std::vector<at::Tensor> values;
    for (const layer_kv& each :
         detail::windows_of(input, shape_.source, towers.source_layers, shape_.source_slots, "projectors::fuser")) {
      keys.push_back(each.keys);
      values.push_back(each.values);
    }
    detail::require_shape(input.receiver, shape_.receiver, "projectors::fuser",
                          fmt::format("receiver layer {}", layer));
    return {added(towers.keys, keys, input.receiver.keys), added(towers.values, values, input.receiver.values)};
  }
  /// @}

  /// Of every layer.
  [[nodiscard]] const fuser_shape& shape() const { return shape_; }
  /// How it is, or was, trained.
  [[nodiscard]] const fuser_schedule& schedule() const { return schedule_; }
  /// Its numbers, layer by layer of the receiver.
  [[nodiscard]] const std::vector<fuser_layer>& weights() const { return layers_; }

  /// Calls `visit(name, tensor)` for every tensor, under C2C's names behind `layers.3.`
  template <class Visit>
  void for_each_tensor(Visit&& visit) const {
    detail::for_each_fuser_tensor(
        layers_, shape_,
        [&](const std::string& tensor_name, const at::Tensor& tensor, const auto&) { visit(tensor_name, tensor); });
  }

 private:
  struct training {
    double temperature;
    at::Generator draws;
  };

  [[nodiscard]] const fuser_layer& at(std::int64_t layer) const {
    require_index<shape_error>(layer, layers(), "projectors::fuser", "layer");
    return layers_[static_cast<std::size_t>(layer)];
  }

  /// Uniform in [0, 1), drawn where the generator is.
  [[nodiscard]] at::Tensor drawn(at::IntArrayRef sizes, const at::TensorOptions& options) const {
    const at::Device where = training_->draws.defined() ? training_->draws.device() : at::Device(at::kCPU);
    return detail::new_tensor(sizes, options.device(where)).uniform_(0, 1, training_->draws).to(options.device());
  }

  [[nodiscard]] at::Tensor through(const fuser_block& block, const at::Tensor& state) const {
    constexpr double epsilon = 1e-6;
    const at::Tensor normed = state.mul(state.square().mean(-1, true).add(epsilon).rsqrt()).mul(block.norm);
    const at::Tensor inside = at::_ops::gelu::call(at::_ops::linear::call(normed, block.w1, std::nullopt), "none");
    at::Tensor change = at::_ops::linear::call(inside, block.w2, std::nullopt);
    if (training_ && schedule_.dropout > 0) {
      const at::Tensor kept = drawn(change.sizes(), change.options()).ge(schedule_.dropout);
      change = change.mul(kept).div(1 - schedule_.dropout);
    }
    return state.add(change);
  }

  /// `[batch, kv_heads, seq, head_dim]` to be added; keys and values likewise.
  /// @param source one per source layer and slot of its window
  [[nodiscard]] at::Tensor added(const fuser_tower& tower, const std::vector<at::Tensor>& source,
                                 const at::Tensor& receiver) const {
    if (!training_ && tower.gate_logit.item<double>() <= 0) {
      return detail::zeros_as(receiver);
    }
    const at::ScalarType dtype = tower.in_weight.scalar_type();
    std::vector<at::Tensor> read;
    for (const at::Tensor& each : source) {
      read.push_back(detail::flat_heads(each.to(dtype)));
    }
    read.push_back(detail::flat_heads(receiver.to(dtype)));
    const at::Tensor state =
        through(tower.embedding, at::_ops::linear::call(detail::joined(read, -1), tower.in_weight, tower.in_bias));
    at::Tensor value = state;
    for (const fuser_block& block : tower.value_blocks) {
      value = through(block, value);
    }
    const at::Tensor projected =
        detail::split_heads(at::_ops::linear::call(value, tower.out_weight, tower.out_bias), shape_.receiver);
    const at::Tensor weight =
        at::_ops::linear::call(through(tower.weight_block, state), tower.weight_head, tower.weight_bias)
            .transpose(1, 2)
            .unsqueeze(-1)
            .sigmoid();
    at::Tensor change = projected.mul(weight);
    if (!training_) {
      return change;
    }
    constexpr double tiny = 1e-20;
    const at::Tensor noise =
        drawn(weight.sizes(), tower.gate_logit.options()).add(tiny).log().neg().add(tiny).log().neg();
    return change.mul(tower.gate_logit.add(noise).div(training_->temperature).sigmoid());
  }

  key_rotation rotation_;
  fuser_shape shape_;
  fuser_schedule schedule_;
  std::vector<fuser_layer> layers_;
  std::optional<training> training_;
  std::string digest_;
};

static_assert(Projector<fuser>);

}  // namespace kvtransfer::projectors
