#include "experiment/conditions/taken_cache.hpp"

#include <c10/core/ScalarType.h>
#include <fmt/format.h>

#include <algorithm>
#include <random>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "experiment/conditions/point_words.hpp"
#include "kvtransfer/cache/cache.hpp"
#include "kvtransfer/cache/edited.hpp"
#include "kvtransfer/cache/file/cache_file.hpp"
#include "kvtransfer/cache/file/expected_model.hpp"
#include "kvtransfer/cache/with_dtype.hpp"
#include "kvtransfer/core/enum_names.hpp"
#include "kvtransfer/core/error.hpp"
#include "kvtransfer/inject/controls.hpp"
#include "kvtransfer/inject/noise.hpp"
#include "kvtransfer/model/causal_lm.hpp"

namespace kvtransfer::detail {

namespace {

/// Slots that hold nothing of a text any more, behind the first `kept` of those parts.
sequence without_content(const sequence& parts, std::int64_t slots, std::int64_t kept) {
  sequence left;
  if (kept > 0) {
    left.push_back({parts.front().role, kept, true});
  }
  left.push_back({token_role::noise, slots - kept, true});
  return left;
}

/// Parts of the same roles whose order in the cache is not that of the text.
sequence in_any_order(const sequence& parts) { return {{parts.back().role, length_of(parts), true}}; }

bool is_wider(at::ScalarType dtype, at::ScalarType other) { return c10::elementSize(dtype) > c10::elementSize(other); }

expected_model expected(const causal_lm& model, origin_basis accepted) { return {model.identity, accepted}; }

}  // namespace

prompt_text with_shuffled_source(prompt_text text, std::uint64_t seed) {
  std::mt19937_64 draw(seed);
  for (prompt_part& part : text) {
    if (part.role == token_role::source) {
      const std::vector<std::int64_t> before = part.token_ids;
      // One token at least has to leave its place: a short text is soon drawn in the order that it had.
      while (part.token_ids == before && std::ranges::adjacent_find(before, std::not_equal_to<>{}) != before.end()) {
        for (std::size_t i = part.token_ids.size(); i > 1; --i) {
          std::swap(part.token_ids[i - 1], part.token_ids[draw() % i]);
        }
      }
    }
  }
  return text;
}

taken_cache cache_of_text(prompt_caches& caches, const prompt_text& text, cache_moment taken,
                          const generation_config& settings) {
  sequence parts = parts_of(text, true);
  if (taken == cache_moment::prompt) {
    return {caches.prefill(ids_of(text)), std::move(parts)};
  }
  const bool with_eos = taken == cache_moment::generated_eos;
  const continued_text first = caches.continued({ids_of(text), with_eos}, settings);
  const std::int64_t eos = with_eos && first.said.eos_token_id ? 1 : 0;
  parts.push_back({token_role::generated, first.cached.size() - length_of(parts) - eos, true});
  if (eos > 0) {
    parts.push_back({token_role::eos, eos, true});
  }
  return {first.cached, std::move(parts)};
}

std::filesystem::path cache_file_of(const std::filesystem::path& folder, const std::string& test) {
  const std::filesystem::path file = folder / (test + ".safetensors");
  require<file_error>(std::filesystem::path(test).filename() == test && test != "." && test != "..", folder.string(),
                      "test", "a name that a file can have", [&] { return fmt::format("\"{}\"", test); });
  std::error_code problem;
  require<file_error>(std::filesystem::is_regular_file(file, problem), file.string(), "file",
                      formatted("the cache of test {}", test), "no file of that name");
  return file;
}

taken_cache cache_of_file(const causal_lm& model, const std::filesystem::path& file, origin_basis accepted,
                          const prompt_text& text) {
  cache loaded = cache_file::open(file).load(expected(model, accepted), {.device = model.device()});
  require<file_error>(loaded.view().batch() == 1, file.string(), "batch", "one sequence",
                      [&] { return fmt::format("{}", loaded.view().batch()); });
  if (loaded.layers() > 0 && is_wider(model.dtype(), loaded.view().layer(0).dtype())) {
    loaded = with_dtype(loaded.view(), model.dtype());
  }
  const cache_frame frame = loaded.view().frame();
  const bool same_text = !frame.token_ids().empty() && frame.token_ids().front() == ids_of(text);
  sequence parts = same_text ? parts_of(text, true) : sequence{{token_role::source, loaded.view().size(), true}};
  return {loaded.view(), std::move(parts)};
}

taken_cache controlled(taken_cache taken, cache_control control, std::uint64_t seed) {
  const std::int64_t slots = taken.kv.size();
  switch (control) {
    case cache_control::noise:
      return {moment_matched_noise(taken.kv, seed).view(), without_content(taken.parts, slots, 0)};
    case cache_control::noise_sink_kept:
      return {moment_matched_noise(taken.kv, seed, 1).view(), without_content(taken.parts, slots, 1)};
    case cache_control::zero:
      return {zeros_like(taken.kv).view(), without_content(taken.parts, slots, 0)};
    case cache_control::shuffled_layers:
      return {with_shuffled_layers(taken.kv, seed).view(), std::move(taken.parts)};
    case cache_control::shuffled_heads:
      return {with_shuffled_heads(taken.kv, seed).view(), std::move(taken.parts)};
    case cache_control::shuffled_slots:
      return {with_shuffled_slots(taken.kv, seed).view(), in_any_order(taken.parts)};
    case cache_control::none:
    case cache_control::other_source:
    case cache_control::shuffled_tokens:
      break;
  }
  return taken;
}

taken_cache kept_in(taken_cache taken, cache_precision precision) {
  if (precision == cache_precision::run) {
    return taken;
  }
  const at::ScalarType kept = precision == cache_precision::bfloat16 ? at::kBFloat16 : at::kHalf;
  std::vector<at::Tensor> keys;
  std::vector<at::Tensor> values;
  for (std::int64_t i = 0; i < taken.kv.layers(); ++i) {
    const layer_view<>& layer = taken.kv.layer(i);
    keys.push_back(layer.keys().to(kept).to(layer.dtype()));
    values.push_back(layer.values().to(kept).to(layer.dtype()));
  }
  const cache rounded = edited(taken.kv, std::move(keys), std::move(values),
                               {edit_kind::other,
                                cache_half::both,
                                {},
                                {},
                                {},
                                fmt::format("rounding to {}", name_of(precision_words, precision))});
  return {rounded.view(), std::move(taken.parts)};
}

taken_cache moved_on(taken_cache taken, std::int64_t distance) {
  cache moved(taken.kv);
  moved.shift(distance);
  moved.materialize();
  return {moved.view(), std::move(taken.parts)};
}

}  // namespace kvtransfer::detail
