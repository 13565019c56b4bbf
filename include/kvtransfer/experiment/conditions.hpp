#pragma once

#include "kvtransfer/experiment/any_condition.hpp"

/// The library's own conditions; `describe()` says what each injects and what its outcome tells.
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

}  // namespace kvtransfer::conditions
