#include "gguf_hyperparameters.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <vector>

namespace kvtransfer::detail {

namespace {

/// A single number or boolean, of whatever type.
std::optional<double> any_number(const gguf_metadata& metadata, std::string_view key) {
  const gguf_value& value = metadata.values().find(key)->second;
  if (value.is_array || value.element == gguf_value_type::text) {
    return std::nullopt;
  }
  if (value.element == gguf_value_type::f32 || value.element == gguf_value_type::f64) {
    return metadata.number(key);
  }
  return static_cast<double>(metadata.integers(key).front());
}

/// A key and the value at which it says what would hold without it.
struct neutral_value {
  std::string_view key;
  double value;
};

constexpr neutral_value neutral_values[] = {
    {"attention.causal", 1},      {"attention.clamp_kqv", 0}, {"attention.max_alibi_bias", 0},
    {"expert_count", 0},          {"expert_used_count", 0},   {"nextn_predict_layers", 0},
    {"pooling_type", 0},          {"logit_scale", 1},         {"residual_scale", 1},
    {"use_parallel_residual", 0}, {"embedding_scale", 1},
};

/// Keys that say something about the file or its making, and nothing about what the model computes.
constexpr std::string_view remarks[] = {"rope.scaling.finetuned", "tensor_data_layout"};

}  // namespace

std::int64_t gguf_hyperparameters::size(std::string_view key, std::optional<std::int64_t> otherwise,
                                        std::int64_t largest) {
  const std::string name = asked(key);
  if (otherwise && !metadata_->has(name)) {
    return *otherwise;
  }
  const std::vector<std::int64_t> sizes = metadata_->integers(name);
  const bool alike = std::all_of(sizes.begin(), sizes.end(), [&](std::int64_t size) { return size == sizes.front(); });
  if (sizes.empty() || !alike || sizes.front() < 1 || sizes.front() > largest) {
    metadata_->refuse(name, fmt::format("an integer from 1 to {}, the same for all layers", largest));
  }
  return sizes.front();
}

std::int64_t gguf_hyperparameters::count(std::string_view key) {
  const std::string name = asked(key);
  const std::int64_t count = metadata_->integer(name).value_or(0);
  if (count < 0 || count > 2'147'483'647) {
    metadata_->refuse(name, "an integer from 0 to 2147483647");
  }
  return count;
}

double gguf_hyperparameters::positive(std::string_view key, std::optional<double> otherwise) {
  const std::string name = asked(key);
  const std::optional<double> number = metadata_->number(name);
  const std::optional<double> value = number ? number : otherwise;
  if (!value || !(*value > 0) || !std::isfinite(*value)) {
    metadata_->refuse(name, "a positive number");
  }
  return *value;
}

std::string_view gguf_hyperparameters::text(std::string_view key) { return metadata_->text(asked(key)).value_or(""); }

std::vector<std::int64_t> gguf_hyperparameters::integers(std::string_view key) {
  return metadata_->integers(asked(key));
}

void gguf_hyperparameters::require_only(std::string_view key, double only, std::string_view expected) {
  const std::string name = asked(key);
  if (metadata_->has(name) && any_number(*metadata_, name) != only) {
    metadata_->refuse(name, expected);
  }
}

void gguf_hyperparameters::refuse_others() {
  for (const neutral_value& neutral : neutral_values) {
    require_only(neutral.key, neutral.value, fmt::format("no such key, or {}", neutral.value));
  }
  for (const std::string_view remark : remarks) {
    asked(remark);
  }
  for (const auto& [key, value] : metadata_->values()) {
    if (key.starts_with(prefix_) && !asked_.contains(key)) {
      metadata_->refuse(key, "only keys whose meaning is known");
    }
  }
}

}  // namespace kvtransfer::detail
