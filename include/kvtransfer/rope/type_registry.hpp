#pragma once

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "kvtransfer/core/error.hpp"
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
  bool depends_on_length = false;
};

/// Rotary types by the name that a config gives them. A type of your own is one more entry in a copy.
using type_registry = std::map<std::string, rotary_type, std::less<>>;

/// The types that transformers knows.
inline const type_registry& builtin_types() {
  static const type_registry types = {
      {"default", {types::plain}},         {"linear", {types::linear}},       {"proportional", {types::proportional}},
      {"dynamic", {types::dynamic, true}}, {"yarn", {types::yarn}},           {"longrope", {types::longrope, true}},
      {"llama3", {types::llama3}},         {"ntk_alpha", {types::ntk_alpha}},
  };
  return types;
}

/// @throws value_error that lists the known types
inline const rotary_type& find_type(const type_registry& types, std::string_view name) {
  const auto found = types.find(name);
  if (found == types.end()) {
    std::vector<std::string> known;
    for (const auto& [type, builder] : types) {
      known.push_back(type);
    }
    fail<value_error>("rope_parameters", "rope_type", fmt::format("one of {}", fmt::join(known, ", ")), name);
  }
  return found->second;
}

}  // namespace kvtransfer::rope
