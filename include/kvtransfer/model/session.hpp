#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "kvtransfer/cache/cache.hpp"
#include "kvtransfer/inject/plan.hpp"
#include "kvtransfer/model/causal_lm.hpp"

namespace kvtransfer {

/// A model that reads a plan, then one token after the other: the plan's segments are copied into a cache that grows,
/// and what `prepend` shows to all sequences of a batch is copied once.
///
/// `step` is the only way the cache grows: whether it holds the end-of-text token, say, is visible in the code that
/// uses it. Not differentiable; `plan_logits` is.
class session {
 public:
  /// Reads the plan. Afterwards `logits()` scores what follows each sequence.
  /// @param model must outlive the session
  /// @param capacity tokens that will be read later by `step`, at most
  /// @throws frame_error where an injected key was not written for this model; shape_error, device_error, value_error
  ///         where the plan does not fit it
  session(const causal_lm& model, const plan& input, std::int64_t capacity = 0);

  /// The moved-from session can only be assigned to or destroyed.
  session(session&&) noexcept;
  /// Likewise.
  session& operator=(session&&) noexcept;
  ~session();

  /// Scores of the next token of every sequence: `[batch, vocab_size]`, in the model's dtype.
  [[nodiscard]] const at::Tensor& logits() const;

  /// Sequences.
  [[nodiscard]] std::int64_t batch() const;

  /// Slots held so far in the longest layer, injected ones and padding included.
  [[nodiscard]] std::int64_t length() const;

  /// One past the last position of each sequence.
  [[nodiscard]] const std::vector<std::int64_t>& next_positions() const;

  /// Reads one more token of every sequence at the position after its last; nothing as a sequence's token leaves a
  /// padding slot there.
  /// @throws shape_error unless there is one entry per sequence and a slot for it, value_error for a token or a
  ///         position that the model does not know, frame_error where the model's weights were changed since the
  ///         session began; then, as after any other exception, nothing has changed
  void step(const std::vector<std::optional<std::int64_t>>& next);

  /// Ends the session and hands out its cache: all that was injected and all that was read. What the plan hid is
  /// padding there, so that it stays hidden; what sequences shared, each has a copy of.
  /// @throws frame_error as `step`, file_error where weights that are mapped were written to since
  [[nodiscard]] cache release() &&;

 private:
  class implementation;

  std::unique_ptr<implementation> state_;
};

}  // namespace kvtransfer
