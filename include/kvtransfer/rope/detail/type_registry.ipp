#pragma once

#include "kvtransfer/core/compiled.hpp"
#include "kvtransfer/rope/type_registry.hpp"
#include "kvtransfer/rope/types/default.hpp"
#include "kvtransfer/rope/types/dynamic.hpp"
#include "kvtransfer/rope/types/linear.hpp"
#include "kvtransfer/rope/types/llama3.hpp"
#include "kvtransfer/rope/types/longrope.hpp"
#include "kvtransfer/rope/types/ntk_alpha.hpp"
#include "kvtransfer/rope/types/proportional.hpp"
#include "kvtransfer/rope/types/yarn.hpp"

namespace kvtransfer::rope {

KVTRANSFER_INLINE type_registry builtin_types() {
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
