#pragma once

#include <cstddef>
#include <utility>
#include <vector>

// Layers that are alike share what is made for one of them: a frame, a mask, a table of angles, one call of a kernel.

namespace kvtransfer {

/// The indices below `count` in groups of those that are alike, in the order of each group's first.
/// @param alike `bool(std::size_t, std::size_t)`: an equivalence
template <class Alike>
[[nodiscard]] std::vector<std::vector<std::size_t>> alike_groups(std::size_t count, Alike&& alike) {
  std::vector<std::vector<std::size_t>> groups;
  for (std::size_t i = 0; i < count; ++i) {
    auto group = groups.begin();
    while (group != groups.end() && !alike(group->front(), i)) {
      ++group;
    }
    if (group == groups.end()) {
      groups.push_back({i});
    } else {
      group->push_back(i);
    }
  }
  return groups;
}

/// `make(i)` for every index below `count`, called once for those that are alike: with the first of them.
template <class Alike, class Make>
[[nodiscard]] auto make_for_alike(std::size_t count, Alike&& alike, Make&& make) {
  std::vector<decltype(make(std::size_t{}))> made(count);
  for (const std::vector<std::size_t>& group : alike_groups(count, alike)) {
    made[group.front()] = make(group.front());
    for (const std::size_t index : group) {
      made[index] = made[group.front()];
    }
  }
  return made;
}

}  // namespace kvtransfer
