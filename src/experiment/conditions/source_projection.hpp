#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "experiment/conditions/taken_cache.hpp"
#include "kvtransfer/experiment/condition_point.hpp"
#include "kvtransfer/experiment/prompt_caches.hpp"
#include "kvtransfer/experiment/suite_prompts.hpp"
#include "kvtransfer/model/causal_lm.hpp"
#include "kvtransfer/model/tokenizers/text_codec.hpp"
#include "kvtransfer/project/any_projector.hpp"
#include "kvtransfer/project/paired_text.hpp"
#include "kvtransfer/project/projector_models.hpp"

namespace kvtransfer::detail {

/// A projector and the model whose caches it reads, the sharer: named first, opened once a run is known. Conditions of
/// one run may share it.
///
/// Unless the projector was made on top of the text, as Cache-to-Cache's are, the receiver reads BOS and dots in the
/// source's place, as many tokens as the source has: all that it learns of the source comes through the projector.
class source_projection {
 public:
  /// @param argument `FOLDER`, or `FOLDER@MODEL` where the sharer is not the model of the run
  explicit source_projection(std::string argument);

  /// As it was written.
  [[nodiscard]] const std::string& argument() const { return argument_; }
  /// The last part of FOLDER, by which headings call it; folders of another place may end alike, their arguments do
  /// not.
  [[nodiscard]] std::string name() const;
  /// Whether the sharer is another model than the run's.
  [[nodiscard]] bool has_sharer() const { return !sharer_path_.empty(); }
  /// Tells it from others: 32 hexadecimal digits of the projector's files and, where there is a sharer, of its weights
  /// and its tokenizer. Known once it is bound.
  [[nodiscard]] const std::string& digest() const { return digest_; }

  /// Opens both for the run's model, and projects the longest source, so that what does not fit is told before anything
  /// is run.
  /// @throws file_error for a folder or a model that does not open; frame_error where a model is another than the
  ///         projector was made for; shape_error for other layers or heads; value_error for tokenizers that cannot be
  ///         aligned
  void bind(const suite_prompts& suite);

  /// What the projector makes of a source's cache.
  /// @param caches of the run's model @param source whose cache it reads
  /// @param own what the receiver reads where the projector was made on top of the text; it may be another text than
  ///        the source's, of which then no more slots are read than it has
  /// @param taken of the sharer; after generation only where that is the run's model
  [[nodiscard]] taken_cache take(prompt_caches& caches, const prompt_text& source, const prompt_text& own,
                                 cache_moment taken, const generation_config& settings) const;

 private:
  struct sharer {
    sharer(causal_lm opened, text_codec codec) : model(std::move(opened)), tokens(std::move(codec)), caches(model) {}
    causal_lm model;
    text_codec tokens;
    prompt_caches caches;        // of `model`: neither is moved
    bool one_tokenizer = false;  // with the run's model
  };

  void open(const suite_prompts& suite);
  [[nodiscard]] std::string digest_of_inputs() const;
  [[nodiscard]] std::vector<std::int64_t> filler_for(const prompt_text& text, std::int64_t slots) const;
  [[nodiscard]] paired_text paired_with_sharer(const std::vector<std::int64_t>& ids) const;
  void require_same_text(const prompt_ids& test) const;

  std::string argument_;
  std::filesystem::path folder_;
  std::filesystem::path sharer_path_;  // empty: the run's model
  const causal_lm* receiver_ = nullptr;
  std::optional<text_codec> tokens_;  // the receiver's
  std::optional<any_projector> projector_;
  projector_models made_for_;
  std::unique_ptr<sharer> sharer_;
  std::string digest_;
};

}  // namespace kvtransfer::detail
