#pragma once

// What the slow model reads behind a cache on plain vectors, and how far the library's numbers are from its.

#include <ATen/core/Tensor.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "kvtransfer/cache/cache_view.hpp"
#include "model/random_operations/reference_cache.hpp"

namespace kvtransfer::test {

/// Ids by sequence.
using token_rows = std::vector<std::vector<std::int64_t>>;

/// Of fp32 against double; a position off by one is a thousand times that.
inline constexpr double slow_tolerance = 5e-4;

/// A vector model that reads what caches on plain vectors hold.
class slow_reading {
 public:
  explicit slow_reading(const vector_model& slow) : slow_(&slow) {}

  [[nodiscard]] vector_of_doubles key_of(const reference_slot& slot) const {
    const vector_of_doubles& plain = slot.key->keys[slot.key_layer][slot.key_head];
    return slot.rotated ? slow_->rotated(plain, slot.position) : plain;
  }

  [[nodiscard]] static vector_of_doubles value_of(const reference_slot& slot) {
    vector_of_doubles value = slot.value->values[slot.value_layer][slot.value_head];
    std::ranges::transform(value, value.begin(), [&](double x) { return x * slot.value_scale; });
    return value;
  }

  /// What each sequence's next token sees.
  [[nodiscard]] std::vector<seen_slots> seen_by(const reference_cache& held) const {
    std::vector<seen_slots> all;
    for (std::size_t b = 0; b < held.batch(); ++b) {
      seen_slots& seen = all.emplace_back();
      for (const reference_rows& layer : held.layers) {
        seen.emplace_back();
        for (const slot_row& row : layer[b]) {
          seen.back().emplace_back();
          for (const reference_slot& slot : row) {
            if (slot.key != nullptr) {
              seen.back().back().push_back({key_of(slot), value_of(slot)});
            }
          }
        }
      }
    }
    return all;
  }

  /// Reads a text a row, padded in front, and keeps what is written behind what `held` has.
  /// @param said rows that get their text; the others get padding
  void read_rows(const token_rows& texts, const std::vector<std::int64_t>& starts, std::vector<seen_slots>& seen,
                 reference_cache& held, std::vector<vector_of_doubles>& logits, const std::vector<bool>& said) const {
    std::size_t longest = 1;
    for (const std::vector<std::int64_t>& text : texts) {
      longest = std::max(longest, text.size());
    }
    for (std::size_t b = 0; b < texts.size(); ++b) {
      for (std::size_t i = texts[b].size(); i < longest; ++i) {
        append(held, b, nullptr, 0);
      }
      for (std::size_t i = 0; said[b] && i < texts[b].size(); ++i) {
        const std::int64_t position = starts[b] + static_cast<std::int64_t>(i);
        append(held, b, slow_->read(texts[b][i], position, seen[b], logits[b]), position);
      }
    }
  }

 private:
  static void append(reference_cache& held, std::size_t b, const std::shared_ptr<const written_token>& token,
                     std::int64_t position) {
    for (std::size_t layer = 0; layer < held.layers.size(); ++layer) {
      for (std::size_t head = 0; head < held.layers[layer][b].size(); ++head) {
        held.layers[layer][b][head].push_back(
            token == nullptr ? reference_slot{}
                             : reference_slot{token, token, layer, head, layer, head, position, true, position, true});
      }
    }
  }

  const vector_model* slow_;
};

/// How row `b` of the library's scores differs from what is expected; empty where it does not.
inline std::string far_from(const vector_of_doubles& expected, const at::Tensor& rows, std::size_t b) {
  const at::Tensor found = rows[static_cast<std::int64_t>(b)].contiguous();
  for (std::size_t i = 0; i < expected.size(); ++i) {
    const double off = std::abs(static_cast<double>(found.const_data_ptr<float>()[i]) - expected[i]);
    if (!(off <= slow_tolerance)) {
      return fmt::format("token {} is off by {:.1e}", i, off);
    }
  }
  return "";
}

/// How a slot of the library's differs; empty where it does not.
inline std::string off_slot(const slow_reading& slow, const position_run& found, const reference_slot& slot,
                            const float* key, const float* value) {
  if (found.state.is_padding() != (slot.key == nullptr)) {
    return found.state.is_padding() ? "padding where a key is" : "a key where padding is";
  }
  if (slot.key == nullptr) {
    return "";
  }
  if (found.state.is_rotated() != slot.rotated || found.first != slot.position) {
    return fmt::format("{} at {}, expected {} at {}", found.state.is_rotated() ? "rotated" : "unrotated", found.first,
                       slot.rotated ? "rotated" : "unrotated", slot.position);
  }
  const auto far = [](const vector_of_doubles& expected, const float* is) {
    double most = 0;
    for (const double number : expected) {
      const double off = std::abs(static_cast<double>(*is++) - number);
      most = std::isfinite(off) ? std::max(most, off) : std::numeric_limits<double>::infinity();
    }
    return most;
  };
  const double key_off = far(slow.key_of(slot), key);
  const double value_off = far(slow_reading::value_of(slot), value);
  return key_off > slow_tolerance || value_off > slow_tolerance
             ? fmt::format("key off by {:.1e}, value by {:.1e}", key_off, value_off)
             : "";
}

/// Token ids may be forgotten; they are never another's.
inline std::string off_token(const token_rows& ids, std::size_t b, std::size_t i, const reference_slot& slot) {
  if (ids.empty() || slot.key == nullptr || ids[b][i] < 0 || slot.edited) {
    return "";
  }
  return ids[b][i] == slot.key->id ? "" : fmt::format("token {}, expected {}", ids[b][i], slot.key->id);
}

/// How the library's cache differs from the vectors; empty where it does not.
inline std::string compared(const slow_reading& slow, const cache_view<>& view, const reference_cache& expected) {
  const cache_frame& frame = view.frame();
  if (frame.origin().is_known() != expected.origin_known || frame.assumed()) {
    return "another origin, or assumed";
  }
  if (frame.edits().empty() && expected.any_key([](const reference_slot& slot) { return slot.edited; })) {
    return "an edit is forgotten";
  }
  for (std::size_t layer = 0; layer < expected.layers.size(); ++layer) {
    const layer_view<>& part = view.layer(static_cast<std::int64_t>(layer));
    const at::Tensor keys = part.keys().contiguous();
    const at::Tensor values = part.values().contiguous();
    if (keys.size(0) != static_cast<std::int64_t>(expected.batch()) ||
        keys.size(2) != static_cast<std::int64_t>(expected.size(layer))) {
      return fmt::format("layer {} has {} rows of {} slots", layer, keys.size(0), keys.size(2));
    }
    const token_rows& ids = frame.token_ids(static_cast<std::int64_t>(layer));
    const float* key = keys.const_data_ptr<float>();
    const float* value = values.const_data_ptr<float>();
    for (std::size_t b = 0; b < expected.batch(); ++b) {
      for (std::size_t head = 0; head < expected.layers[layer][b].size(); ++head) {
        const slot_row& row = expected.layers[layer][b][head];
        const auto runs = part.frame()
                              .positions.row(0, static_cast<std::int64_t>(b), static_cast<std::int64_t>(head))
                              .one_run_per_slot();
        for (std::size_t i = 0; i < row.size(); ++i) {
          std::string off = off_slot(slow, runs[i], row[i], key, value);
          off = off.empty() ? off_token(ids, b, i, row[i]) : off;
          if (!off.empty()) {
            return fmt::format("layer {}, row {}, head {}, slot {}: {}", layer, b, head, i, off);
          }
          key += keys.size(3);
          value += values.size(3);
        }
      }
    }
  }
  return "";
}

}  // namespace kvtransfer::test
