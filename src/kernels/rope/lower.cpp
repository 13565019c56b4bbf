#include "kernels/rope/lower.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <numbers>
#include <span>
#include <string_view>
#include <vector>

#include "kernels/rope/angles.hpp"
#include "kernels/rope/lanes_scalar.hpp"
#include "kvtransfer/core/error.hpp"

// The checks cost a few comparisons where nothing is wrong: a short prompt's cache rotates in microseconds, and so must
// this.

namespace kvtransfer::rope::kernels {

std::string described(const at::Tensor& tensor) {
  return fmt::format("{} [{}]", c10::toString(tensor.scalar_type()), fmt::join(tensor.sizes(), ", "));
}

namespace {

constexpr double turns_per_radian = 1 / (2 * std::numbers::pi);
constexpr double units_per_turn = 4294967296.0;
constexpr std::int64_t position_limit = std::int64_t{1} << 24;  // tokens from 0: as far as angles are exact

/// A tensor as errors name it where its device counts.
std::string placed(const at::Tensor& tensor) { return described(tensor) + " on " + tensor.device().str(); }

bool given(const std::optional<at::Tensor>& tensor) { return tensor.has_value() && tensor->defined(); }

/// Radians per token, one a pair.
std::span<const float> radians_per_token(const std::optional<at::Tensor>& tensor, bool needed, std::string_view name) {
  if (!needed) {
    return {};
  }
  require<value_error>(given(tensor), "rotate_keys", name, "the frequencies that go with the positions", "none");
  if (!tensor->is_cpu() || tensor->scalar_type() != at::kFloat || tensor->dim() != 1 || !tensor->is_contiguous() ||
      tensor->numel() > max_pairs) {
    fail<shape_error>("rotate_keys", name, fmt::format("contiguous Float [rotary_dim / 2 <= {}] on cpu", max_pairs),
                      placed(*tensor));
  }
  const std::span<const float> frequencies{tensor->const_data_ptr<float>(), static_cast<std::size_t>(tensor->numel())};
  const auto infinite = std::ranges::find_if(frequencies, [](float f) { return !std::isfinite(f); });
  require<value_error>(infinite == frequencies.end(), "rotate_keys", name, "finite numbers",
                       [&] { return fmt::format("{}", *infinite); });
  return frequencies;
}

/// f radians per token in units of 2^-32 turns: an integer, of which whole turns may be dropped, and a fraction.
void set_turns(frequencies& frequency, std::int32_t pair, float radians) {
  const double units = radians * turns_per_radian * units_per_turn;
  const double whole = std::nearbyint(units);
  frequency.turns[pair] = static_cast<std::uint32_t>(static_cast<std::int64_t>(whole));
  frequency.value[pair] = static_cast<float>(units - whole);
}

/// The cosine and sine by which one delta rotates every token. The angle is reduced in double.
void set_rotation(rotation_arguments& arguments, std::int32_t pair, float radians, const rotation_tensors& rotation) {
  const double rotations = static_cast<double>(rotation.delta) * (radians * turns_per_radian);
  const double fraction = rotations - std::nearbyint(rotations);
  float cosine = 0;
  float sine = 0;
  cosine_and_sine<scalar_lanes>(static_cast<std::uint32_t>(std::llrint(fraction * units_per_turn)), cosine, sine);
  arguments.target_frequency.value[pair] = static_cast<float>(rotation.gain * cosine);
  arguments.stored_frequency.value[pair] = static_cast<float>(rotation.gain * sine);
}

void read_frequencies(const rotation_tensors& rotation, std::span<const float> stored, std::span<const float> target,
                      rotation_arguments& arguments) {
  const std::span<const float> only = target.empty() ? stored : target;
  for (std::int32_t pair = 0; pair < arguments.pairs; ++pair) {
    switch (arguments.rule) {
      case angle_rule::shared:
        set_rotation(arguments, pair, only[pair], rotation);
        break;
      case angle_rule::difference:
        set_turns(arguments.target_frequency, pair, only[pair]);
        break;
      case angle_rule::two_frequencies:
        set_turns(arguments.target_frequency, pair, target[pair]);
        set_turns(arguments.stored_frequency, pair, stored[pair]);
        break;
      case angle_rule::model_faithful:
        arguments.target_frequency.value[pair] = target.empty() ? 0 : target[pair];
        arguments.stored_frequency.value[pair] = stored.empty() ? 0 : stored[pair];
        break;
    }
  }
}

/// Reads which stream each pair follows; returns the number of streams.
std::int64_t read_streams(const std::optional<at::Tensor>& stream_of, rotation_arguments& arguments) {
  if (!given(stream_of)) {
    return 1;
  }
  require<shape_error>(stream_of->is_cpu() && stream_of->scalar_type() == at::kByte && stream_of->dim() == 1 &&
                           stream_of->numel() == arguments.pairs && stream_of->is_contiguous(),
                       "rotate_keys", "stream_of", formatted("contiguous Byte [{}] on cpu", arguments.pairs),
                       [&] { return placed(*stream_of); });
  std::copy_n(stream_of->const_data_ptr<std::uint8_t>(), arguments.pairs, arguments.stream_of);
  const std::int64_t streams = 1 + *std::max_element(arguments.stream_of, arguments.stream_of + arguments.pairs);
  arguments.many_streams = streams > 1;
  return streams;
}

/// Reads which blocks of `key` are meant, where it is not all of them.
void read_blocks(const at::Tensor& blocks, const at::Tensor& key, rotation_arguments& arguments) {
  if (!blocks.defined()) {
    return;
  }
  if (blocks.scalar_type() != at::kLong || blocks.dim() != 1 || !blocks.is_contiguous() ||
      blocks.device() != key.device()) {
    fail<shape_error>("rotate_blocks_", "blocks", "contiguous Long [n] on " + key.device().str(), placed(blocks));
  }
  arguments.rows = blocks.const_data_ptr<std::int64_t>();
  arguments.batch = blocks.numel();
  const std::int64_t* const end = arguments.rows + arguments.batch;
  if (!key.is_cpu()) {
    return;  // to find out would mean to wait
  }
  std::vector<bool> named(static_cast<std::size_t>(key.size(0)));
  const auto fits = [&](std::int64_t block) {
    const bool free = block >= 0 && block < key.size(0) && !named[static_cast<std::size_t>(block)];
    return free && (named[static_cast<std::size_t>(block)] = true);
  };
  const std::int64_t* const wrong = std::find_if_not(arguments.rows, end, fits);
  require<shape_error>(wrong == end, "rotate_blocks_", "blocks", formatted("0 <= block < {}, each once", key.size(0)),
                       [&] { return fmt::format("{}", *wrong); });
}

/// @throws value_error where positions are so far from 0 that no angle of theirs is exact; on a GPU, to find out would
/// mean to wait
void check_reach(const at::Tensor& positions, std::string_view name) {
  if (!positions.is_cpu() || positions.numel() == 0) {
    return;
  }
  const at::Tensor dense = positions.contiguous();
  const std::span<const std::int64_t> all(dense.const_data_ptr<std::int64_t>(),
                                          static_cast<std::size_t>(dense.numel()));
  const auto [least, most] = std::ranges::minmax(all);
  require<value_error>(least >= -position_limit && most <= position_limit, "rotate_keys", name,
                       formatted("at most {} from 0", position_limit), formatted("{} to {}", least, most));
}

/// Lowers positions of up to four axes, right-aligned to [streams, batch, kv_heads, seq].
position_source positions(const std::optional<at::Tensor>& tensor, std::int64_t streams, std::int64_t batch,
                          const at::Tensor& key, std::string_view name) {
  if (!given(tensor)) {
    return {};
  }
  const std::int64_t target[4] = {streams, batch, key.size(1), key.size(2)};
  std::int64_t strides[4] = {};
  const std::int64_t missing = 4 - tensor->dim();
  bool fits = tensor->scalar_type() == at::kLong && tensor->device() == key.device() && missing >= 0;
  for (std::int64_t axis = 0; fits && axis < tensor->dim(); ++axis) {
    const std::int64_t size = tensor->size(axis);
    const std::int64_t expected = target[axis + missing];
    fits = size == 1 || size == expected || (axis + missing == 0 && size > expected);
    strides[axis + missing] = size == 1 ? 0 : tensor->stride(axis);
  }
  if (!fits) {
    fail<shape_error>("rotate_keys", name,
                      fmt::format("Long that broadcasts to [{}] on {}", fmt::join(target, ", "), key.device().str()),
                      placed(*tensor));
  }
  check_reach(*tensor, name);
  return {tensor->const_data_ptr<std::int64_t>(), strides[0], strides[1], strides[2], strides[3]};
}

angle_rule rule_of(const rotation_tensors& rotation, std::span<const float> stored, std::span<const float> target) {
  if (!given(rotation.from_positions) && !given(rotation.to_positions)) {
    return angle_rule::shared;
  }
  if (rotation.model_faithful) {
    return angle_rule::model_faithful;
  }
  const bool one_frequency = stored.empty() || target.empty() || std::ranges::equal(stored, target);
  return one_frequency ? angle_rule::difference : angle_rule::two_frequencies;
}

void check_window(const at::Tensor& key, const rotation_tensors& rotation, std::int64_t rotary_dim) {
  require<shape_error>(
      rotary_dim != 0 && rotation.window_offset >= 0 && rotation.window_offset <= key.size(3) - rotary_dim,
      "rotate_keys", "rotary window", formatted("elements within head_dim={}", key.size(3)),
      formatted("{} from {} on", rotary_dim, rotation.window_offset));
}

}  // namespace

std::optional<element_type> element_of(at::ScalarType dtype) {
  constexpr at::ScalarType types[] = {at::kFloat, at::kBFloat16, at::kHalf, at::kFloat8_e4m3fn, at::kFloat8_e5m2};
  const auto* const found = std::ranges::find(types, dtype);
  return found == std::end(types) ? std::nullopt : std::optional(static_cast<element_type>(found - types));
}

rotation_arguments lower(const at::Tensor& key, const rotation_tensors& rotation, const at::Tensor& blocks) {
  const bool shared = !given(rotation.from_positions) && !given(rotation.to_positions);
  const auto stored = radians_per_token(rotation.from_inv_freq, given(rotation.from_positions), "from_inv_freq");
  const auto target = radians_per_token(rotation.to_inv_freq, given(rotation.to_positions) || shared, "to_inv_freq");
  require<shape_error>(stored.empty() || target.empty() || stored.size() == target.size(), "rotate_keys",
                       "from_inv_freq", formatted("as many as to_inv_freq, {}", target.size()),
                       formatted("{}", stored.size()));
  if (!std::isfinite(rotation.gain)) {
    fail<value_error>("rotate_keys", "gain", "a finite number", fmt::format("{}", rotation.gain));
  }
  require<value_error>(rotation.delta / 2 >= -position_limit && rotation.delta / 2 <= position_limit, "rotate_keys",
                       "delta", formatted("at most {} either way", 2 * position_limit),
                       formatted("{}", rotation.delta));
  rotation_arguments arguments;
  arguments.batch = key.size(0);
  arguments.kv_heads = key.size(1);
  arguments.seq = key.size(2);
  read_blocks(blocks, key, arguments);
  arguments.gain = static_cast<float>(rotation.gain);
  arguments.pairs = static_cast<std::int32_t>(std::max(stored.size(), target.size()));
  arguments.element = element_of(key.scalar_type()).value();
  arguments.interleaved = rotation.interleaved;
  arguments.rule = rule_of(rotation, stored, target);
  check_window(key, rotation, 2 * arguments.pairs);
  const std::int64_t streams = read_streams(rotation.stream_of, arguments);
  arguments.stored = positions(rotation.from_positions, streams, arguments.batch, key, "from");
  arguments.target = positions(rotation.to_positions, streams, arguments.batch, key, "to");
  read_frequencies(rotation, stored, target, arguments);
  return arguments;
}

}  // namespace kvtransfer::rope::kernels
