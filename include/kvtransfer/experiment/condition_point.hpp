#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "kvtransfer/cache/cache_origin.hpp"
#include "kvtransfer/core/error.hpp"
#include "kvtransfer/experiment/any_condition.hpp"
#include "kvtransfer/inject/any_injection_policy.hpp"
#include "kvtransfer/inject/injection_policy_registry.hpp"

namespace kvtransfer {

namespace detail {
class source_projection;
}

/// Whose prompt a cache is made of.
enum class cached_prompt : std::uint8_t {
  source,  ///< the source's, in front of the target
  target,  ///< the target's own, in front of the target once more
};

/// What the model has read when the cache is taken.
enum class cache_moment : std::uint8_t {
  prompt,         ///< the prompt and nothing else
  generated,      ///< what it made of it too, the end-of-text token not among it
  generated_eos,  ///< that token too, where it came to one
};

/// What is put in the place of the cache, to see what its content does.
enum class cache_control : std::uint8_t {
  none,             ///< the cache itself
  noise,            ///< random numbers with its moments
  noise_sink_kept,  ///< the same behind its first slot
  zero,             ///< zeros
  other_source,     ///< the cache of another test's source
  shuffled_tokens,  ///< the cache of the source's tokens in another order
  shuffled_layers,  ///< each layer in the place of another
  shuffled_heads,   ///< each KV head in the place of another of its layer
  shuffled_slots,   ///< its slots, positions and all, in another order
};

/// What a query sees of what is injected.
enum class cache_visibility : std::uint8_t {
  shown,   ///< all that is there
  hidden,  ///< nothing: what is left of an injection is where the text stands
};

/// How exactly the numbers of a cache are kept while nobody reads them.
enum class cache_precision : std::uint8_t {
  run,       ///< as the model computes
  bfloat16,  ///< 8 bits of significand
  float16,   ///< 11 bits of significand
};

/// A way of putting a source's cache in front of a target, as a point of one space: every coordinate has a default, and
/// with all of them it is `transfer`.
struct condition_point {
  cached_prompt prompt = cached_prompt::source;           ///< whose cache
  cache_moment taken = cache_moment::prompt;              ///< as of when
  cache_control control = cache_control::none;            ///< what stands in for it
  cache_precision precision = cache_precision::run;       ///< in what it was kept
  bool rerotated = false;                                 ///< cache and text stand 16 positions further on
  any_injection_policy policy = {};                       ///< which part, and where keys and text stand
  cache_visibility visible = cache_visibility::shown;     ///< what is seen of it
  bool second_bos = false;                                ///< the target begins as if nothing stood in front
  std::string prompt_form = {};                           ///< `raw` or `chat`; empty: the run's
  std::optional<std::filesystem::path> files = {};        ///< a folder of cache files, one a test; none: the model's
  origin_basis accepted_origin = origin_basis::recorded;  ///< by what the files are taken for the model's
  std::shared_ptr<detail::source_projection> projection = {};  ///< what makes it of a source's cache; null: nothing
};

/// The coordinates that are not the default, as a command line spells them behind a condition:
/// `cache:generated+control:zero+layers:2-4+second_bos`; empty where all are.
[[nodiscard]] std::string text_of(const condition_point& point);

/// A crossing of coordinates that is no experiment of its own.
class meaningless_condition : public value_error {
 public:
  /// @param text the coordinates, as a command line spells them
  /// @param reason why they are none
  meaningless_condition(std::string_view text, std::string reason);
  /// Why.
  [[nodiscard]] const std::string& reason() const { return reason_; }

 private:
  std::string reason_;
};

/// A point moved along the coordinates that a text names, and narrowed by the policies that it names.
/// @param base where what the text does not name is taken from
/// @param text words joined by plus signs: `cache:`, `control:`, `cache_precision:`, `visible:`, `form:`, `prompt:`,
///        `rerotated`, `second_bos`, `assume_same_weights`, `assume_unknown_origin`, and the policies of `known`
/// @throws value_error that shows the place in the text and what would be right there; meaningless_condition
[[nodiscard]] condition_point moved_point(condition_point base, std::string_view text,
                                          const injection_policy_registry& known);

/// Why a point is no experiment of its own: some of its coordinates contradict each other, or do not matter. Nothing
/// where it is one.
[[nodiscard]] std::optional<std::string> meaningless_crossing(const condition_point& point);

/// The condition at a point, under a name of its own.
[[nodiscard]] any_condition at_point(condition_point point, condition_description named);

/// The condition at a point that is reached from a named one: its id is `base`'s with the text behind a plus sign.
/// @param text as given to `moved_point`
[[nodiscard]] any_condition at_point(condition_point point, const condition_description& base, std::string_view text);

}  // namespace kvtransfer
