#include "gguf_rope.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <numbers>
#include <string_view>
#include <utility>
#include <vector>

#include "kvtransfer/core/error.hpp"
#include "kvtransfer/core/excerpt.hpp"

namespace kvtransfer::detail {

namespace {

/// A tensor of divisors, one for each rotating pair.
std::vector<float> read_factors(const gguf_file& file, std::string_view name, std::int64_t rotary_dim) {
  const std::vector<std::int64_t> expected{rotary_dim / 2};
  if (const gguf_tensor& tensor = file.tensor(name); tensor.shape != expected) {
    fail<file_error>(file.path().string(), fmt::format("tensor {}: shape", excerpt(name)), excerpt(expected),
                     excerpt(tensor.shape));
  }
  std::vector<float> factors = file.floats(name);
  for (const float factor : factors) {
    if (!(factor > 0) || !std::isfinite(factor)) {
      fail<file_error>(file.path().string(), fmt::format("tensor {}", excerpt(name)), "positive numbers",
                       fmt::format("{}", factor));
    }
  }
  return factors;
}

nlohmann::json as_written(const std::vector<float>& factors) {
  nlohmann::json list = nlohmann::json::array();
  for (const float factor : factors) {
    list.push_back(shortest_decimal(factor));
  }
  return list;
}

/// What Llama 3.1's stretching divides a frequency by. Source: ggml-org/llama.cpp, conversion/llama.py.
double llama3_divisor(double frequency, double factor, double low, double high, double original) {
  const double turns = original * frequency / (2 * std::numbers::pi);  // in the original context
  if (turns > high) {
    return 1;
  }
  if (turns < low) {
    return factor;
  }
  const double share = (turns - low) / (high - low);
  return 1 / ((1 - share) / factor + share);
}

/// Files hold Llama 3's stretching as the divisors that come of it. They are told from others by computing them again,
/// with the parameters that Llama 3.1 to 3.3 share; any others are given as they are.
nlohmann::json scaling_from_divisors(const std::vector<float>& divisors, double theta, std::int64_t rotary_dim,
                                     std::int64_t max_positions) {
  constexpr double low = 1;
  constexpr double high = 4;
  constexpr std::int64_t original = 8192;
  constexpr double rounding = 1e-5;  // relative; the file's are computed in 32 bits
  const double factor = shortest_decimal(*std::max_element(divisors.begin(), divisors.end()));
  bool is_llama3 = true;
  for (std::size_t i = 0; i < divisors.size(); ++i) {
    const double frequency = std::pow(theta, -2 * static_cast<double>(i) / static_cast<double>(rotary_dim));
    const double expected = llama3_divisor(frequency, factor, low, high, original);
    is_llama3 = is_llama3 && std::abs(static_cast<double>(divisors[i]) - expected) <= rounding * expected;
  }
  if (is_llama3) {
    return {{"rope_type", "llama3"},
            {"factor", factor},
            {"low_freq_factor", low},
            {"high_freq_factor", high},
            {"original_max_position_embeddings", original}};
  }
  const nlohmann::json list = as_written(divisors);
  return {{"rope_type", "longrope"},
          {"short_factor", list},
          {"long_factor", list},
          {"attention_factor", 1.0},
          {"original_max_position_embeddings", max_positions}};
}

/// LongRoPE's two lists of divisors. `attention_factor` is given only where it isn't the one that follows from the
/// lengths.
nlohmann::json longrope_scaling(const gguf_file& file, gguf_hyperparameters& keys, std::int64_t rotary_dim,
                                std::int64_t max_positions, std::int64_t original) {
  nlohmann::json scaling = {{"rope_type", "longrope"},
                            {"short_factor", as_written(read_factors(file, "rope_factors_short.weight", rotary_dim))},
                            {"long_factor", as_written(read_factors(file, "rope_factors_long.weight", rotary_dim))}};
  const double factor = static_cast<double>(max_positions) / static_cast<double>(original);
  const double inferred = factor <= 1 ? 1 : std::sqrt(1 + std::log(factor) / std::log(static_cast<double>(original)));
  const double stated = keys.positive("rope.scaling.attn_factor", 1.0);
  if (static_cast<float>(stated) != static_cast<float>(inferred)) {
    scaling["attention_factor"] = stated;
  }
  return scaling;
}

/// The scaling that the keys name, or null.
nlohmann::json keyed_scaling(gguf_hyperparameters& keys) {
  constexpr std::string_view only_plain = "no such key, or 1: another factor's meaning differs between writers";
  const bool older = !keys.has("rope.scaling.factor");
  const double factor = keys.positive(older ? "rope.scale_linear" : "rope.scaling.factor", 1.0);
  std::string_view type = keys.text("rope.scaling.type");
  keys.count("rope.scaling.original_context_length");
  keys.require_only("rope.scaling.attn_factor", 1, only_plain);
  if (type == "none" || ((type.empty() || type == "linear") && factor == 1)) {
    return nullptr;
  }
  if (type.empty() || type == "linear") {
    return {{"rope_type", "linear"}, {"factor", factor}};
  }
  if (type != "yarn") {
    keys.refuse("rope.scaling.type", "none, linear or yarn");
  }
  keys.require_only("rope.scaling.yarn_ext_factor", 1, "no such key, or 1");
  keys.require_only("rope.scaling.yarn_attn_factor", 1, only_plain);
  keys.require_only("rope.scaling.yarn_log_multiplier", 0, "no such key, or 0");
  nlohmann::json scaling = {{"rope_type", "yarn"},
                            {"factor", factor},
                            {"original_max_position_embeddings", keys.size("rope.scaling.original_context_length")}};
  for (const auto& [key, name] :
       {std::pair{"rope.scaling.yarn_beta_fast", "beta_fast"}, std::pair{"rope.scaling.yarn_beta_slow", "beta_slow"}}) {
    if (keys.has(key)) {
      scaling[name] = keys.positive(key);
    }
  }
  return scaling;
}

}  // namespace

void add_rope(nlohmann::json& config, const gguf_architecture& architecture, gguf_hyperparameters& keys,
              const gguf_file& file) {
  const bool phi3 = architecture.name == "phi3";
  const bool gemma3 = architecture.name == "gemma3";
  const auto head_dim = config["head_dim"].get<std::int64_t>();
  const auto max_positions = config["max_position_embeddings"].get<std::int64_t>();
  const std::int64_t rotary_dim = keys.size("rope.dimension_count", head_dim);
  if (rotary_dim % 2 != 0 || rotary_dim > head_dim || (rotary_dim != head_dim && !phi3)) {
    keys.refuse("rope.dimension_count",
                fmt::format("{}{}, the width of a head", phi3 ? "an even number up to " : "", head_dim));
  }
  const double theta = keys.positive("rope.freq_base", gemma3 ? std::nullopt : std::optional(1e4));
  config["rope_theta"] = theta;
  if (gemma3) {
    config["rope_local_base_freq"] = keys.positive("rope.freq_base_swa", 1e4);
  }
  if (phi3) {
    config["partial_rotary_factor"] = static_cast<double>(rotary_dim) / static_cast<double>(head_dim);
    config["original_max_position_embeddings"] = keys.size("rope.scaling.original_context_length", max_positions);
  }
  nlohmann::json scaling;
  if (phi3 && (file.contains("rope_factors_long.weight") || file.contains("rope_factors_short.weight"))) {
    if (const std::string_view type = keys.text("rope.scaling.type"); !type.empty() && type != "longrope") {
      keys.refuse("rope.scaling.type", "longrope, as the tensors of factors say");
    }
    scaling = longrope_scaling(file, keys, rotary_dim, max_positions,
                               config["original_max_position_embeddings"].get<std::int64_t>());
  } else {
    scaling = keyed_scaling(keys);
  }
  if (architecture.name == "llama" && file.contains("rope_freqs.weight")) {
    if (!scaling.is_null()) {
      keys.refuse("rope.scaling.type", "no scaling beside the tensor rope_freqs.weight");
    }
    const std::vector<float> divisors = read_factors(file, "rope_freqs.weight", rotary_dim);
    scaling = scaling_from_divisors(divisors, theta, rotary_dim, max_positions);
  }
  if (!scaling.is_null()) {
    config["rope_scaling"] = std::move(scaling);
  }
}

}  // namespace kvtransfer::detail
