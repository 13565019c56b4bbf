#pragma once

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cstddef>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "kvtransfer/core/error.hpp"

namespace kvtransfer {

/// What a program knows by name, in the order in which it was added. There is no global one: a program takes the
/// library's own, adds what it has, and passes the value on.
/// @tparam Maker what a name stands for: a function that makes something, or a small value
template <class Maker>
class registry {
 public:
  /// A name and what it stands for.
  struct entry {
    std::string name;  ///< not empty, and no other entry's
    Maker make;        ///< what `at` gives for the name
  };

  /// @param where stands in front of complaints ("rope_parameters")
  /// @param what how complaints call a name ("rope_type")
  registry(std::string where, std::string what) : where_(std::move(where)), what_(std::move(what)) {}

  /// @throws value_error if the name is empty or taken
  void add(std::string name, Maker make) {
    require<value_error>(!name.empty() && !contains(name), where_, what_, "a name that is free",
                         formatted("\"{}\"", name));
    entries_.push_back({std::move(name), std::move(make)});
  }

  /// Whether the name has been added.
  [[nodiscard]] bool contains(std::string_view name) const { return find(name) != entries_.end(); }

  /// What a name stands for. @throws value_error that lists the known names
  [[nodiscard]] const Maker& at(std::string_view name) const {
    const auto found = find(name);
    require<value_error>(
        found != entries_.end(), where_, what_, [&] { return fmt::format("one of {}", fmt::join(names(), ", ")); },
        formatted("\"{}\"", name));
    return found->make;
  }

  /// All names, in the order in which they were added.
  [[nodiscard]] std::vector<std::string> names() const {
    std::vector<std::string> all;
    for (const entry& each : entries_) {
      all.push_back(each.name);
    }
    return all;
  }

  /// How many names there are.
  [[nodiscard]] std::size_t size() const { return entries_.size(); }
  /// The first entry in the order in which they were added.
  [[nodiscard]] auto begin() const { return entries_.begin(); }
  /// Past the last entry.
  [[nodiscard]] auto end() const { return entries_.end(); }

 private:
  [[nodiscard]] auto find(std::string_view name) const {
    return std::find_if(entries_.begin(), entries_.end(), [&](const entry& each) { return each.name == name; });
  }

  std::string where_;
  std::string what_;
  std::vector<entry> entries_;
};

}  // namespace kvtransfer
