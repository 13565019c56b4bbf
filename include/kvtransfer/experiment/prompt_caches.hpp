#pragma once

#include <compare>
#include <cstdint>
#include <map>
#include <optional>
#include <utility>
#include <vector>

#include "kvtransfer/cache/cache.hpp"
#include "kvtransfer/cache/cache_view.hpp"
#include "kvtransfer/model/causal_lm.hpp"
#include "kvtransfer/model/generate.hpp"
#include "kvtransfer/model/generate_many.hpp"

namespace kvtransfer {

/// A text that a model reads and goes on with, for the cache that this leaves.
struct text_to_continue {
  std::vector<std::int64_t> token_ids;  ///< from position 0, never empty
  bool reads_eos = false;               ///< whether an end-of-text token that ends it is read too, as its last

  friend auto operator<=>(const text_to_continue&, const text_to_continue&) = default;
};

/// What continuing a text leaves.
struct continued_text {
  completion said;      ///< what the model put behind the text
  cache_view<> cached;  ///< the text and what was said, the last token chosen left out unless `reads_eos` asked for it
};

/// Thrown by `continued` while a store defers. No `std::exception`, so that nobody takes it for an error.
struct continuation_deferred {};

/// The caches that the conditions of a run ask for, each made once and shared by all that ask for the same: one prefill
/// for every distinct text, one continuation for every distinct text and seed.
///
/// Views stay valid however long they are kept, and show what nobody changes: to edit one, make a `cache` of it.
class prompt_caches {
 public:
  /// What is kept unless the caller says otherwise, in bytes.
  static constexpr std::int64_t usual_bytes = std::int64_t{1} << 30;

  /// @param model must outlive this
  /// @param most_bytes kept for who may ask again; past it, what was asked for longest ago is given up and made again
  /// when it is asked for
  /// @param how texts are continued together
  explicit prompt_caches(const causal_lm& model, std::int64_t most_bytes = usual_bytes, batching how = {});

  prompt_caches(const prompt_caches&) = delete;
  prompt_caches& operator=(const prompt_caches&) = delete;

  /// The one that makes them.
  [[nodiscard]] const causal_lm& model() const { return *model_; }

  /// The cache of a text and nothing else: what a prompt leaves before anything is generated.
  /// @param token_ids from position 0 @throws what `kvtransfer::prefill` throws
  [[nodiscard]] cache_view<> prefill(const std::vector<std::int64_t>& token_ids);

  /// What the model says after a text, and the cache that it leaves by that.
  /// @param settings with one seed, the trial's
  /// @throws what `generate` throws
  [[nodiscard]] continued_text continued(const text_to_continue& text, const generation_config& settings);

  /// Makes those continuations that there are none of yet, all together: in batches that takes a fraction of the time.
  /// @param texts each with its settings, which hold one seed
  void continue_all(const std::vector<std::pair<text_to_continue, generation_config>>& texts);

  /// From here on, or no longer, a continuation that is not there is noted, and `continuation_deferred` thrown, so that
  /// those of many trials can be made together by `make_deferred` and asked for again.
  void defer_continuations(bool deferring) { deferring_ = deferring; }

  /// Makes of what was noted, in the order in which it was asked for, as much as half of what is kept has room for, the
  /// first at least. What is left is noted again when it is asked for again.
  void make_deferred();

  /// Caches made so far, those that were given up and made again counted again.
  [[nodiscard]] std::int64_t made() const { return made_; }

 private:
  /// What was asked for: a text alone, or with how it is continued.
  struct request {
    text_to_continue text;
    std::optional<generation_config> settings;  // its seed left out where nothing is drawn

    friend auto operator<=>(const request&, const request&) = default;
  };

  struct entry {
    completion said;
    cache made;
    std::int64_t bytes = 0;
    std::int64_t last_asked = 0;
  };

  [[nodiscard]] static request asked_for(const text_to_continue& text, const generation_config& settings);
  /// Bytes of the cache that a continuation leaves at most.
  [[nodiscard]] std::int64_t bytes_left_by(const text_to_continue& text, const generation_config& settings) const;
  /// Keeps what was made, and gives up what is too much.
  const entry& keep(const request& asked, entry made);
  /// What is kept; null if there is nothing.
  const entry* find(const request& asked);

  const causal_lm* model_;
  std::int64_t most_bytes_;
  batching how_;
  std::int64_t bytes_ = 0;
  std::int64_t asked_ = 0;
  std::int64_t made_ = 0;
  bool deferring_ = false;
  std::vector<std::pair<text_to_continue, generation_config>> deferred_;
  std::map<request, entry> entries_;
};

}  // namespace kvtransfer
