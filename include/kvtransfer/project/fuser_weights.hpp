#pragma once

#include <ATen/core/Tensor.h>
#include <fmt/format.h>

#include <cstdint>
#include <string>
#include <vector>

#include "kvtransfer/project/fuser_shape.hpp"

namespace kvtransfer {

/// x + w2·GELU(w1·RMSNorm(x)).
struct fuser_block {
  at::Tensor norm;  ///< `[hidden_size]`
  at::Tensor w1;    ///< `[intermediate, hidden_size]`
  at::Tensor w2;    ///< `[hidden_size, intermediate]`
};

/// What is added to one layer's keys, or to its values: source and receiver side by side are brought to the hidden
/// size; from there one way leads to what may be added, the other to a weight for each token and head.
struct fuser_tower {
  at::Tensor in_weight;                   ///< `[hidden_size, k·source features + receiver features]`, k source layers
                                          ///< times source slots
  at::Tensor in_bias;                     ///< `[hidden_size]`
  fuser_block embedding;                  ///< in front of both ways; `intermediate_size` inside
  fuser_block weight_block;               ///< on the way to the weights; `hidden_size` inside
  at::Tensor weight_head;                 ///< `[receiver kv_heads, hidden_size]`
  at::Tensor weight_bias;                 ///< `[receiver kv_heads]`
  std::vector<fuser_block> value_blocks;  ///< on the other way; `intermediate_size` inside
  at::Tensor out_weight;                  ///< `[receiver features, hidden_size]`
  at::Tensor out_bias;                    ///< `[receiver features]`
  at::Tensor gate_logit;                  ///< `[]`: the tower adds something where it is above 0
};

/// The towers of one layer of the receiver.
struct fuser_layer {
  std::vector<std::int64_t> source_layers;  ///< those that are read, in C2C one; none: the layer is left as it is
  fuser_tower keys;                         ///< reads keys of both and adds to keys
  fuser_tower values;                       ///< reads values of both and adds to values
};

namespace detail {

/// Calls `visit(name, tensor, shape)` for every tensor of a tower under C2C's name, its own buffers left out.
/// @param source_features all that it reads of the source for one token
/// @param half `key` or `value`
/// Source: thu-nics/C2C, rosetta/model/projector.py, C2CProjector.
template <class Tower, class Visit>
void for_each_tensor(Tower& tower, const fuser_shape& shape, std::int64_t source_features, const std::string& half,
                     Visit&& visit) {
  const std::int64_t hidden = shape.hidden_size;
  const std::int64_t out = shape.receiver.features();
  const auto block = [&](auto& each, const std::string& name, std::int64_t inside) {
    visit(half + name + ".norm.weight", each.norm, std::vector{hidden});
    visit(half + name + ".w1.weight", each.w1, std::vector{inside, hidden});
    visit(half + name + ".w2.weight", each.w2, std::vector{hidden, inside});
  };
  visit(half + "_in.weight", tower.in_weight, std::vector{hidden, source_features + out});
  visit(half + "_in.bias", tower.in_bias, std::vector{hidden});
  block(tower.embedding, "_mlp1.blocks.0", shape.intermediate_size);
  block(tower.weight_block, "_scalar_mlp2.blocks.0", hidden);
  visit(half + "_scalar_head.weight", tower.weight_head, std::vector{shape.receiver.kv_heads, hidden});
  visit(half + "_scalar_head.bias", tower.weight_bias, std::vector{shape.receiver.kv_heads});
  for (std::size_t i = 0; i < tower.value_blocks.size(); ++i) {
    block(tower.value_blocks[i], fmt::format("_proj_mlp2.blocks.{}", i), shape.intermediate_size);
  }
  visit(half + "_proj_out.weight", tower.out_weight, std::vector{out, hidden});
  visit(half + "_proj_out.bias", tower.out_bias, std::vector{out});
  visit(half + "_gate_logit", tower.gate_logit, std::vector<std::int64_t>{});
}

/// Calls `visit(name, tensor, shape)` for every tensor of a fuser: `layers.3.key_in.weight` and so on.
template <class Layers, class Visit>
void for_each_fuser_tensor(Layers& layers, const fuser_shape& shape, Visit&& visit) {
  for (std::size_t i = 0; i < layers.size(); ++i) {
    if (!layers[i].source_layers.empty()) {
      const std::int64_t read =
          static_cast<std::int64_t>(layers[i].source_layers.size()) * shape.source_slots * shape.source.features();
      for_each_tensor(layers[i].keys, shape, read, fmt::format("layers.{}.key", i), visit);
      for_each_tensor(layers[i].values, shape, read, fmt::format("layers.{}.value", i), visit);
    }
  }
}

}  // namespace detail

}  // namespace kvtransfer
