#include "kvtransfer/experiment/sweeps.hpp"

#include <fmt/format.h>

#include <utility>

#include "experiment/conditions/described.hpp"
#include "experiment/text_lists.hpp"
#include "kvtransfer/experiment/conditions.hpp"
#include "kvtransfer/experiment/factorial_conditions.hpp"

namespace kvtransfer {

namespace {

using levels = std::vector<std::pair<std::string, std::string>>;

/// A part by itself, and everything but it.
void add_both_ways(std::vector<sweep_step>& steps, const std::string& part, const levels& where) {
  for (const auto& [way, words] : {std::pair("only", part), std::pair("without", "without-" + part)}) {
    levels here = where;
    here.emplace_back("way", way);
    steps.push_back({words, std::move(here)});
  }
}

/// Keys or values of a part: by themselves, with zeros for the other half; and all but them, zeros in their place.
void add_halves(std::vector<sweep_step>& steps, const std::string& part, const levels& where) {
  for (const char* half : {"keys", "values"}) {
    levels only = where;
    only.insert(only.end(), {{"half", half}, {"way", "only"}});
    steps.push_back({part.empty() ? std::string(half) : fmt::format("{}+{}", part, half), std::move(only)});
    levels without = where;
    without.insert(without.end(), {{"half", half}, {"way", "without"}});
    const std::string all = part.empty() ? "layers:0-" : part;
    steps.push_back({fmt::format("without-{}:zero.{}", all, half), std::move(without)});
  }
}

std::string text(std::int64_t number) { return fmt::format("{}", number); }

std::vector<sweep_step> by_layer(const model_config& config) {
  std::vector<sweep_step> steps;
  for (std::int64_t layer = 0; layer < config.layers; ++layer) {
    add_both_ways(steps, fmt::format("layers:{}", layer), {{"layer", text(layer)}});
  }
  return steps;
}

std::vector<sweep_step> by_layer_range(const model_config& config) {
  std::vector<sweep_step> steps;
  for (std::int64_t layer = 1; layer + 1 < config.layers; ++layer) {
    steps.push_back({fmt::format("layers:0-{}", layer), {{"first", "0"}, {"last", text(layer)}}});
  }
  for (std::int64_t layer = 1; layer + 1 < config.layers; ++layer) {
    steps.push_back({fmt::format("layers:{}-{}", layer, config.layers - 1),
                     {{"first", text(layer)}, {"last", text(config.layers - 1)}}});
  }
  return steps;
}

std::vector<sweep_step> by_head(const model_config& config) {
  std::vector<sweep_step> steps;
  for (std::int64_t head = 0; head < config.kv_heads && config.kv_heads > 1; ++head) {
    add_both_ways(steps, fmt::format("heads:{}", head), {{"kv_head", text(head)}});
  }
  return steps;
}

std::vector<sweep_step> by_half(const model_config&) {
  std::vector<sweep_step> steps;
  add_halves(steps, "", {});
  return steps;
}

std::vector<sweep_step> by_layer_and_half(const model_config& config) {
  std::vector<sweep_step> steps;
  for (std::int64_t layer = 0; layer < config.layers; ++layer) {
    add_halves(steps, fmt::format("layers:{}", layer), {{"layer", text(layer)}});
  }
  return steps;
}

/// Calls `add` for every KV head of every layer, with its policy and its place.
template <class Add>
std::vector<sweep_step> by_layer_and_head(const model_config& config, Add&& add) {
  std::vector<sweep_step> steps;
  for (std::int64_t layer = 0; layer < config.layers; ++layer) {
    for (std::int64_t head = 0; head < config.kv_heads; ++head) {
      add(steps, fmt::format("heads:{}.{}", layer, head), {{"layer", text(layer)}, {"kv_head", text(head)}});
    }
  }
  return steps;
}

std::vector<sweep_step> by_layer_head(const model_config& config) { return by_layer_and_head(config, add_both_ways); }

std::vector<sweep_step> by_layer_head_and_half(const model_config& config) {
  return by_layer_and_head(config, add_halves);
}

std::vector<sweep_step> by_position_error(const model_config&) {
  std::vector<sweep_step> steps;
  for (const std::int64_t tokens : {-32, -16, -8, -4, -2, -1, 1, 2, 4, 8, 16, 32}) {
    steps.push_back({fmt::format("shift:{}", tokens), {{"tokens", text(tokens)}}});
  }
  return steps;
}

/// What is injected, weighted against another test's cache of equal length: 1 is the source's alone.
std::vector<sweep_step> by_dose(const model_config&) {
  std::vector<sweep_step> steps;
  for (std::int64_t tenths = 0; tenths < 10; ++tenths) {
    const std::string alpha = fmt::format("0.{}", tenths);
    steps.push_back({fmt::format("blend:{}:other", alpha), {{"alpha", alpha}}});
  }
  return steps;
}

std::vector<sweep_step> by_cache_precision(const model_config&) {
  return {{"cache_precision:bfloat16", {{"cache_precision", "bfloat16"}}},
          {"cache_precision:float16", {{"cache_precision", "float16"}}}};
}

}  // namespace

sweep_registry sweep_registry::standard() {
  sweep_registry known;
  known.add("layers", by_layer);
  known.add("layer_ranges", by_layer_range);
  known.add("heads", by_head);
  known.add("halves", by_half);
  known.add("layer_halves", by_layer_and_half);
  known.add("layer_heads", by_layer_head);
  known.add("layer_head_halves", by_layer_head_and_half);
  known.add("position_error", by_position_error);
  known.add("dose", by_dose);
  known.add("cache_precision", by_cache_precision);
  return known;
}

std::vector<std::string> sweep_registry::parse(std::string_view list) const {
  std::vector<std::string> names;
  for (const std::string_view name : detail::split(list, ',')) {
    static_cast<void>(sweeps_.at(name));
    names.emplace_back(name);
  }
  return names;
}

std::vector<any_condition> sweep_registry::conditions(const std::vector<std::string>& sweeps,
                                                      const model_config& config,
                                                      const condition_registry& known) const {
  std::vector<any_condition> all;
  const std::string base = kvtransfer::conditions::transfer().describe().id;
  for (const std::string& name : sweeps) {
    std::vector<any_condition> steps;
    for (const sweep_step& step : sweeps_.at(name)(config)) {
      const any_condition made = known.parse_one(fmt::format("{}+{}", base, step.words));
      condition_description named = made.describe();
      named.factors = {{"sweep", name}};
      named.factors.insert(step.levels.begin(), step.levels.end());
      steps.push_back(detail::described(made, std::move(named)));
    }
    all = united(all, steps);
  }
  return all;
}

}  // namespace kvtransfer
