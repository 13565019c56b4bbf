#pragma once

#include <cstdint>
#include <functional>

#include "kvtransfer/core/registry.hpp"
#include "kvtransfer/rope/frequencies.hpp"
#include "kvtransfer/rope/type_parameters.hpp"

namespace kvtransfer::rope {

/// How the frequencies of one `rope_type` come about.
struct rotary_type {
  /// @param length tokens in the longest row of the batch, max(position) + 1; ignored by most types
  std::function<frequencies(const type_parameters& parameters, std::int64_t length)> build;
  bool depends_on_length = false;  ///< whether `build` reads `length`
};

/// Rotary types by the name that a config gives them. A type of your own is one `add` to a copy, which
/// `config_knowledge` (rope/rotary_embedding.hpp) hands to whatever reads a config.
using type_registry = registry<rotary_type>;

/// The types that transformers knows: each a file in rope/types/, listed where this is defined, in
/// rope/detail/type_registry.ipp.
[[nodiscard]] type_registry builtin_types();

}  // namespace kvtransfer::rope

#ifndef KVTRANSFER_COMPILED
#include "kvtransfer/rope/detail/type_registry.ipp"  // IWYU pragma: export
#endif
