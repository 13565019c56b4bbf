#pragma once

#include <cstdint>
#include <utility>
#include <vector>

namespace kvtransfer::detail {

/// The keys and the values of every layer, each a list.
/// @param make what gives the pair of them for a layer
template <class Make>
auto keys_and_values_of(std::int64_t layers, Make&& make) {
  using pair = decltype(make(layers));
  std::pair<std::vector<typename pair::first_type>, std::vector<typename pair::second_type>> all;
  for (std::int64_t i = 0; i < layers; ++i) {
    auto [keys, values] = make(i);
    all.first.push_back(std::move(keys));
    all.second.push_back(std::move(values));
  }
  return all;
}

}  // namespace kvtransfer::detail
