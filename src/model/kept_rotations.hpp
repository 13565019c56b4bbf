#pragma once

#include <ATen/core/Tensor.h>

#include <cstddef>
#include <cstdint>
#include <map>
#include <utility>
#include <vector>

#include "kvtransfer/model/config.hpp"
#include "kvtransfer/rope/angles.hpp"

namespace kvtransfer::detail {

/// Where a token is rotated to, and the length of its sequence that its frequencies go by.
struct rotation_place {
  std::int64_t position = 0;
  std::int64_t reach = 0;  ///< one past the last position of the text that is read with it

  friend auto operator<=>(const rotation_place&, const rotation_place&) = default;
};

/// Cosines and sines of the places where tokens have been rotated to, computed once for each of them: a step that reads
/// one token looks them up.
class kept_rotations {
 public:
  kept_rotations(const model_config& config, at::ScalarType dtype, at::Device device);

  /// Tables of tokens at `places`, which `layer` gives until the next call.
  /// @param batch of how many sequences they are, one after the other
  void select(const std::vector<rotation_place>& places, std::int64_t batch = 1);

  /// Where tokens at `places` stand in the tables that `table` gives; computed where they are not there yet.
  [[nodiscard]] std::vector<std::int64_t> rows_of(const std::vector<rotation_place>& places);

  /// All cosines and sines so far, `[1, 1, rows or more, rotary_dim/2]`; undefined for a layer that does not rotate. It
  /// is replaced as it grows: see `version`.
  [[nodiscard]] const rope::cos_sin& table(std::int64_t layer) const {
    return kept_[group_of_[static_cast<std::size_t>(layer)]];
  }

  /// Changes when tables are replaced.
  [[nodiscard]] std::int64_t version() const { return version_; }

  /// Of the places selected last: `[batch, 1, tokens of each, rotary_dim/2]`; undefined for a layer that does not
  /// rotate.
  [[nodiscard]] const rope::cos_sin& layer(std::int64_t index) const {
    return selected_[group_of_[static_cast<std::size_t>(index)]];
  }

  /// Whether two lengths may have different frequencies in some layer.
  [[nodiscard]] bool depends_on_length() const { return depends_on_length_; }

  /// The specification of every layer, for its pairing and its window: frequencies are in the tables.
  [[nodiscard]] const std::vector<rotary_specification>& geometry() const { return geometry_; }

 private:
  /// Appends the places `[first, first + count)` of one reach to every table.
  void append(rotation_place first, std::int64_t count);
  [[nodiscard]] std::int64_t row_of(rotation_place place);

  const model_config* config_;
  at::ScalarType dtype_;
  at::Device device_;
  std::vector<rotary_specification> geometry_;
  std::vector<std::size_t> group_of_;      // layer: which table
  std::vector<std::size_t> first_layers_;  // table: a layer that uses it
  bool depends_on_length_ = false;
  std::map<rotation_place, std::int64_t> rows_;
  std::vector<rope::cos_sin> kept_;  // table: `[1, 1, rows or more, rotary_dim/2]`
  std::vector<rope::cos_sin> selected_;
  std::int64_t version_ = 0;
};

}  // namespace kvtransfer::detail
