#pragma once

#include <filesystem>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "kvtransfer/experiment/any_condition.hpp"

/// The library's own conditions, each made in src/experiment/conditions/; `describe()` says what each injects and what
/// its outcome tells.
namespace kvtransfer::conditions {

/// The target prompt alone: what the model says by itself.
[[nodiscard]] any_condition baseline();

/// Source and target read as one text: what a working transfer must equal.
[[nodiscard]] any_condition text_oracle();

/// The target's own prompt-only cache, all but its last token, which is fed: injection itself must change nothing.
[[nodiscard]] any_condition same_cache();

/// Random tensors of the source cache's shape, with its moments per layer and head: what broken looks like.
[[nodiscard]] any_condition noise();

/// The experiment: the source's prompt-only cache, then the target at the positions that follow, without a second BOS.
[[nodiscard]] any_condition transfer();

/// A harness that takes the target's cache after generation and reads the target once more: a reconstruction.
[[nodiscard]] any_condition as_reported_same_cache();

/// A harness that takes the source's cache after generation, EOS fed, and begins the target with a BOS of its own: a
/// reconstruction.
[[nodiscard]] any_condition as_reported_transfer();

// Controls: what a difference has to be larger than before it is one of content.

/// The text oracle's text read in two chunks: the floor of the run's precision.
[[nodiscard]] any_condition oracle_split();

/// As `noise`, the first slot left as it was.
[[nodiscard]] any_condition noise_sink_kept();

/// Zeros in the place of the source's cache.
[[nodiscard]] any_condition zero();

/// The cache of another test's source: the control that counts.
[[nodiscard]] any_condition other_source();

/// The cache of the source's tokens in another order.
[[nodiscard]] any_condition shuffled_tokens();

/// The source's cache, each layer in the place of another.
[[nodiscard]] any_condition shuffled_layers();

/// The source's cache, each KV head in the place of another of its layer.
[[nodiscard]] any_condition shuffled_heads();

/// The source's cache with its slots in another order, each with its position: must change nothing.
[[nodiscard]] any_condition shuffled_slots();

/// Anybody's caches: one cache file a test, `folder/TEST.safetensors`, whoever wrote it. Its origin is checked.
[[nodiscard]] any_condition from_files(std::filesystem::path folder);

/// Makes a condition from its argument.
using condition_maker = std::function<any_condition(const std::string& argument)>;

/// `projected`, what a projector makes of the source's cache, and what stands in for that: `projected_other_source`,
/// `projected_zero`, `projected_noise`; each by its name. The argument is `FOLDER`, as `save_projector` writes it, or
/// `FOLDER@MODEL` where MODEL's caches are projected and not the run's own model's. Conditions of one argument open
/// projector and model once.
[[nodiscard]] std::vector<std::pair<std::string, condition_maker>> projections();

}  // namespace kvtransfer::conditions
