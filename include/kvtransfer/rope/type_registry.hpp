#pragma once

#include <cstdint>
#include <functional>

#include "kvtransfer/core/registry.hpp"
#include "kvtransfer/rope/frequencies.hpp"
#include "kvtransfer/rope/type_parameters.hpp"
#include "kvtransfer/rope/types/default.hpp"
#include "kvtransfer/rope/types/dynamic.hpp"
#include "kvtransfer/rope/types/linear.hpp"
#include "kvtransfer/rope/types/llama3.hpp"
#include "kvtransfer/rope/types/longrope.hpp"
#include "kvtransfer/rope/types/ntk_alpha.hpp"
#include "kvtransfer/rope/types/proportional.hpp"
#include "kvtransfer/rope/types/yarn.hpp"

namespace kvtransfer::rope {

/// How the frequencies of one `rope_type` come about.
struct rotary_type {
  /// @param length tokens in the longest row of the batch, max(position) + 1; ignored by most types
  std::function<frequencies(const type_parameters& parameters, std::int64_t length)> build;
  bool depends_on_length = false;  ///< whether `build` reads `length`
};

/// Rotary types by the name that a config gives them. A type of your own is one `add` to a copy.
using type_registry = registry<rotary_type>;

/// The types that transformers knows.
[[nodiscard]] inline type_registry builtin_types() {
  type_registry known("rope_parameters", "rope_type");
  known.add("default", {rope::types::plain});
  known.add("linear", {rope::types::linear});
  known.add("proportional", {rope::types::proportional});
  known.add("dynamic", {rope::types::dynamic, true});
  known.add("yarn", {rope::types::yarn});
  known.add("longrope", {rope::types::longrope, true});
  known.add("llama3", {rope::types::llama3});
  known.add("ntk_alpha", {rope::types::ntk_alpha});
  return known;
}

}  // namespace kvtransfer::rope
