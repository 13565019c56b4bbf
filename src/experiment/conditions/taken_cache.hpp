#pragma once

#include <cstdint>
#include <filesystem>

#include "kvtransfer/cache/cache_view.hpp"
#include "kvtransfer/experiment/condition_point.hpp"
#include "kvtransfer/experiment/prompt_caches.hpp"
#include "kvtransfer/experiment/prompt_ids.hpp"
#include "kvtransfer/experiment/sequence.hpp"
#include "kvtransfer/model/generate.hpp"

namespace kvtransfer::detail {

/// A cache that is about to be injected, and what it consists of.
struct taken_cache {
  cache_view<> kv;
  sequence parts;
};

/// The prompt with the tokens of its source in an order drawn from `seed`.
[[nodiscard]] prompt_text with_shuffled_source(prompt_text text, std::uint64_t seed);

/// The cache that a model leaves of a text, as of `taken`.
[[nodiscard]] taken_cache cache_of_text(prompt_caches& caches, const prompt_text& text, cache_moment taken,
                                        const generation_config& settings);

/// The file of a test's cache in a folder: `TEST.safetensors`.
/// @throws file_error if there is none, or the test's name cannot be a file's
[[nodiscard]] std::filesystem::path cache_file_of(const std::filesystem::path& folder, const std::string& test);

/// A cache from a file: on the model's device, and widened to its dtype where that is wider.
/// @param text what the file is to hold; its parts are told apart where the file names the same tokens
/// @throws what `cache_file` throws
[[nodiscard]] taken_cache cache_of_file(const causal_lm& model, const std::filesystem::path& file,
                                        origin_basis accepted, const prompt_text& text);

/// What stands in for a cache under a control that is about numbers; under the others, the cache itself.
[[nodiscard]] taken_cache controlled(taken_cache taken, cache_control control, std::uint64_t seed);

/// The cache after it was kept in another precision, the rounding among its edits.
[[nodiscard]] taken_cache kept_in(taken_cache taken, cache_precision precision);

/// The cache moved `distance` positions further on.
[[nodiscard]] taken_cache moved_on(taken_cache taken, std::int64_t distance);

}  // namespace kvtransfer::detail
