#pragma once

#include <fmt/format.h>

#include <cmath>
#include <cstdint>
#include <string>
#include <vector>

#include "kvtransfer/core/error.hpp"
#include "kvtransfer/project/head_shape.hpp"

namespace kvtransfer {

/// The sizes of a fuser, the same for every layer.
struct fuser_shape {
  head_shape source;                      ///< of the layers that are read
  head_shape receiver;                    ///< of the layers that are added to
  std::int64_t hidden_size = 1024;        ///< elements of a token's state inside
  std::int64_t intermediate_size = 1024;  ///< elements inside the blocks in front and on the way to the values
  std::int64_t value_blocks = 1;          ///< blocks on the way to the values: two less than C2C's `num_layers`
  std::int64_t source_slots = 1;          ///< read of each source layer: the token's own, and those before it; C2C: 1

  friend bool operator==(const fuser_shape&, const fuser_shape&) = default;
};

/// How the gate's temperature falls while a fuser is trained, and how much of it is dropped meanwhile.
struct fuser_schedule {
  double initial_temperature = 1.0;  ///< at step 0
  double final_temperature = 0.001;  ///< from `anneal_steps` on
  std::int64_t anneal_steps = 1929;  ///< steps from one to the other, by a constant factor a step
  double dropout = 0.1;              ///< share of a block's outputs that a training step leaves out

  /// The temperature at `step`, from 0 on.
  [[nodiscard]] double temperature(std::int64_t step) const {
    const double done = step >= anneal_steps ? 1.0 : static_cast<double>(step) / static_cast<double>(anneal_steps);
    return initial_temperature * std::pow(final_temperature / initial_temperature, done);
  }

  friend bool operator==(const fuser_schedule&, const fuser_schedule&) = default;
};

namespace detail {

/// @throws value_error naming a size that is not positive, or a setting out of its range
inline void require_valid(const fuser_shape& shape, std::string_view where) {
  for (const auto& [name, size] : {std::pair<std::string_view, std::int64_t>{"source.kv_heads", shape.source.kv_heads},
                                   {"source.head_dim", shape.source.head_dim},
                                   {"receiver.kv_heads", shape.receiver.kv_heads},
                                   {"receiver.head_dim", shape.receiver.head_dim},
                                   {"hidden_size", shape.hidden_size},
                                   {"intermediate_size", shape.intermediate_size},
                                   {"value_blocks", shape.value_blocks},
                                   {"source_slots", shape.source_slots}}) {
    require<value_error>(size > 0, where, name, "1 or more", formatted("{}", size));
  }
}

inline void require_valid(const fuser_schedule& schedule, std::string_view where) {
  for (const auto& [name, temperature] :
       {std::pair<std::string_view, double>{"initial_temperature", schedule.initial_temperature},
        {"final_temperature", schedule.final_temperature}}) {
    require<value_error>(temperature > 0 && std::isfinite(temperature), where, name, "above 0",
                         formatted("{}", temperature));
  }
  require<value_error>(schedule.anneal_steps > 0, where, "anneal_steps", "1 or more",
                       formatted("{}", schedule.anneal_steps));
  require<value_error>(schedule.dropout >= 0 && schedule.dropout < 1, where, "dropout", "0 to below 1",
                       formatted("{}", schedule.dropout));
}

}  // namespace detail

}  // namespace kvtransfer
