#pragma once

#include <string_view>
#include <utility>

#include "kvtransfer/cache/cache_frame.hpp"
#include "kvtransfer/cache/cache_origin.hpp"
#include "kvtransfer/cache/model_identity.hpp"

namespace kvtransfer {

/// Asks for a cache whoever wrote it, to look at: a model still refuses another's.
struct any_model_t {
  explicit any_model_t() = default;
};
/// The value to ask with: `file.load(any_model)`.
inline constexpr any_model_t any_model{};

/// Whose caches a caller takes out of a file: those of one model, or anybody's.
class expected_model {
 public:
  /// Takes caches of this model alone; one of unknown origin is not of this model.
  /// @param model a model's `identity`
  expected_model(model_identity model) : expected_model(std::move(model), origin_basis::recorded) {}
  /// Takes a cache of any model, or of none that is known.
  expected_model(any_model_t) : any_(true) {}

  /// Takes this model's caches, and those that can be taken for its by `basis`.
  expected_model(model_identity model, origin_basis basis) : model_(std::move(model)), basis_(basis) {}

  /// The origin that a cache from the file is to carry.
  /// @param file named in the error
  /// @throws frame_error where the cache is not one of those asked for
  [[nodiscard]] cache_origin accepted(const cache_frame& frame, std::string_view file) const;

 private:
  model_identity model_;
  origin_basis basis_ = origin_basis::recorded;
  bool any_ = false;
};

/// For opening a file: caches that `model` wrote stored in another way (in other types, quantized) are taken too, and
/// say so from then on.
inline expected_model assume_same_weights(const model_identity& model) { return {model, origin_basis::same_weights}; }

/// For opening a file: caches that say nothing of their origin are taken for `model`'s, and say so from then on.
expected_model assume_unknown_origin(const model_identity& model);

}  // namespace kvtransfer

#ifndef KVTRANSFER_COMPILED
#include "kvtransfer/cache/file/detail/expected_model.ipp"  // IWYU pragma: export
#endif
