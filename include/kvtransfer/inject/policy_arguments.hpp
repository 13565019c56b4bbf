#pragma once

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include "kvtransfer/cache/cache_edit.hpp"
#include "kvtransfer/core/error.hpp"
#include "kvtransfer/inject/donor.hpp"
#include "kvtransfer/inject/index_ranges.hpp"
#include "kvtransfer/inject/select/heads.hpp"

namespace kvtransfer {

/// What a command line says behind a policy's name, field by field: of `insert:4:other` the fields `4` and `other`.
/// Whatever cannot be read is a `value_error` that shows the place in the whole text, and what would be right there.
class policy_arguments {
 public:
  /// @param whole all that the user wrote, in which `piece` is this policy's part; both outlive the arguments
  /// @param example how the policy is written, for complaints
  /// @param roles donors that a text may name
  policy_arguments(std::string_view whole, std::string_view piece, std::string_view example,
                   const std::vector<std::string>& roles)
      : whole_(whole), example_(example), roles_(&roles) {
    std::size_t begin = piece.find(':');
    name_ = piece.substr(0, begin);
    while (begin != std::string_view::npos) {
      const std::size_t end = piece.find(':', begin + 1);
      fields_.push_back(piece.substr(begin + 1, end == std::string_view::npos ? end : end - begin - 1));
      begin = end;
    }
  }

  /// Fields behind the name.
  [[nodiscard]] std::size_t count() const { return fields_.size(); }

  /// @throws value_error unless there are so many fields
  void require_count(std::size_t least, std::size_t most) const {
    if (fields_.size() < least) {
      const std::string_view last = fields_.empty() ? name_ : fields_.back();
      refuse_at(last.substr(last.size()), "a colon and an argument", "nothing");
    }
    if (fields_.size() > most) {
      refuse(most, "nothing more", fields_[most]);
    }
  }

  /// A field as it is. @throws value_error where it is empty or not there
  [[nodiscard]] std::string_view field(std::size_t index) const {
    require_count(index + 1, std::max(index + 1, fields_.size()));
    if (fields_[index].empty()) {
      refuse(index, "an argument", "nothing");
    }
    return fields_[index];
  }

  /// A whole number. @throws value_error unless it is one of `least` or more
  [[nodiscard]] std::int64_t number(std::size_t index, std::int64_t least) const {
    const std::string_view text = field(index);
    const std::optional<std::int64_t> value = whole_number(text);
    if (!value || *value < least || *value > largest_number || *value < -largest_number) {
      refuse(index, least > -largest_number ? fmt::format("a whole number from {} on", least) : "a whole number", text);
    }
    return *value;
  }

  /// A number with a point or without. @throws value_error unless it is one between −1000 and 1000
  [[nodiscard]] double real(std::size_t index) const {
    const std::string_view text = field(index);
    double value = 0;
    const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (problem != std::errc{} || end != text.data() + text.size() || !(std::abs(value) <= 1000)) {
      refuse(index, "a number between -1000 and 1000", text);
    }
    return value;
  }

  /// A name of small letters, digits, `_` and `-` that begins with a letter. @throws value_error for anything else
  [[nodiscard]] std::string name(std::size_t index) const {
    const std::string_view text = field(index);
    const auto is_letter = [](char c) { return c >= 'a' && c <= 'z'; };
    const auto fits = [&](char c) { return is_letter(c) || (c >= '0' && c <= '9') || c == '_' || c == '-'; };
    if (!is_letter(text.front()) || !std::ranges::all_of(text, fits)) {
      refuse(index, "a name of letters, digits, _ and -", text);
    }
    return std::string(text);
  }

  /// The donor of that role. @throws value_error that lists the roles, unless it is one of them
  [[nodiscard]] donor donor_at(std::size_t index) const {
    const std::string_view text = field(index);
    require_role(text, text);
    return {std::string(text)};
  }

  /// Likewise, one that has a length. @throws value_error for zeros too
  [[nodiscard]] donor cache_at(std::size_t index) const {
    donor given = donor_at(index);
    if (given.is_zero()) {
      refuse(index, "a cache, as zeros have no length", field(index));
    }
    return given;
  }

  /// Several donors: `other,target`. @throws value_error unless each is one, and named once
  [[nodiscard]] std::vector<donor> donors(std::size_t index) const {
    std::vector<donor> all;
    for (const std::string_view item : items(field(index))) {
      require_role(item, item);
      if (std::ranges::find(all, item, &donor::role) != all.end()) {
        refuse_at(item, "every donor once", item);
      }
      all.emplace_back(std::string(item));
    }
    return all;
  }

  /// A donor or one half of it: `other`, `other.keys`, `other.values`. @throws value_error for anything else
  [[nodiscard]] std::pair<donor, cache_half> donor_half(std::size_t index) const {
    const std::string_view text = field(index);
    const std::size_t point = text.find('.');
    const std::string role(text.substr(0, point));
    require_role(role, text);
    if (point == std::string_view::npos) {
      return {role, cache_half::both};
    }
    const auto half = cache_half_named(text.substr(point + 1));
    if (!half || *half == cache_half::both) {
      refuse(index, fmt::format("{0}, {0}.keys or {0}.values", role), text);
    }
    return {role, *half};
  }

  /// Numbers and ranges, as in `2-4,7,9-`. @throws value_error for anything else, and where one is named twice
  [[nodiscard]] index_ranges indices(std::size_t index) const {
    std::vector<slot_range> ranges;
    for (const std::string_view item : items(field(index))) {
      append(ranges, item, item);
    }
    return index_ranges(std::move(ranges));
  }

  /// `first-last` or one number. @throws value_error for anything else
  [[nodiscard]] std::pair<std::int64_t, std::int64_t> closed_range(std::size_t index) const {
    std::vector<slot_range> range;
    append(range, field(index), field(index));
    if (range.front().end() == index_ranges::open(0).end()) {
      refuse(index, "a range with both ends", field(index));
    }
    return {range.front().begin, range.front().end() - 1};
  }

  /// Heads, of every layer or of one, as in `0-1,3.2`. @throws value_error for anything else, and for a head named
  /// twice
  [[nodiscard]] std::vector<head_group> head_groups(std::size_t index) const {
    std::vector<std::pair<std::optional<std::int64_t>, std::vector<slot_range>>> found;
    for (const std::string_view item : items(field(index))) {
      const std::size_t point = item.find('.');
      std::optional<std::int64_t> layer;
      if (point != std::string_view::npos) {
        layer = whole_number(item.substr(0, point));
        if (!layer || *layer < 0) {
          refuse_at(item, "a layer in front of the point", item.substr(0, point));
        }
      }
      auto group = std::ranges::find(found, layer, [](const auto& each) { return each.first; });
      group = group == found.end() ? found.insert(found.end(), {layer, {}}) : group;
      append(group->second, point == std::string_view::npos ? item : item.substr(point + 1), item);
    }
    std::vector<head_group> groups;
    for (auto& [layer, ranges] : found) {
      groups.push_back({layer, index_ranges(std::move(ranges))});
    }
    return groups;
  }

  /// Complains of a field. @param expected what would be right in its place
  [[noreturn]] void refuse(std::size_t index, std::string_view expected, std::string_view got) const {
    refuse_at(fields_[index], expected, got);
  }

  /// Complains that a name is no donor's. @param place where the complaint points
  void require_role(std::string_view role, std::string_view place) const {
    if (std::ranges::find(*roles_, role) == roles_->end()) {
      refuse_at(place, fmt::format("one of {}", fmt::join(*roles_, ", ")), role);
    }
  }

  /// Complains of `place`, a part of the whole text, by where it begins. @param example how it is written; none where
  /// empty
  [[noreturn]] static void refuse_in(std::string_view whole, std::string_view place, std::string_view expected,
                                     std::string_view example, std::string_view got) {
    fail<value_error>(fmt::format("injection policy \"{}\"", shown(whole)),
                      fmt::format("character {}", place.data() - whole.data() + 1),
                      example.empty() ? std::string(expected) : fmt::format("{}, as in {}", expected, example),
                      got == "nothing" ? std::string(got) : fmt::format("\"{}\"", shown(got)));
  }

 private:
  static constexpr std::int64_t largest_number = std::int64_t{1} << 40;  // far past any position

  /// Text fit for one line: as much of it as a reader needs, without what a terminal would act on.
  static std::string shown(std::string_view text) {
    constexpr std::size_t most = 80;
    std::string safe(text.substr(0, most));
    std::ranges::replace_if(safe, [](char c) { return c < ' ' || c > '~'; }, '?');
    return text.size() > most ? safe + "..." : safe;
  }

  static std::optional<std::int64_t> whole_number(std::string_view text) {
    std::int64_t value = 0;
    const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), value);
    const bool read = problem == std::errc{} && end == text.data() + text.size() && !text.starts_with("-0");
    return read ? std::optional(value) : std::nullopt;
  }

  static std::vector<std::string_view> items(std::string_view list) {
    std::vector<std::string_view> all;
    for (std::size_t begin = 0; begin <= list.size();) {
      const std::size_t end = std::min(list.find(',', begin), list.size());
      all.push_back(list.substr(begin, end - begin));
      begin = end + 1;
    }
    return all;
  }

  /// Reads `2`, `2-4` or `2-`, which must not meet what is there already. @param shown_item for complaints
  void append(std::vector<slot_range>& ranges, std::string_view item, std::string_view shown_item) const {
    const std::size_t dash = item.find('-');
    const std::optional<std::int64_t> first = whole_number(item.substr(0, dash));
    const std::string_view behind = dash == std::string_view::npos ? std::string_view() : item.substr(dash + 1);
    const std::optional<std::int64_t> last = behind.empty() ? first : whole_number(behind);
    if (!first || *first < 0 || *first > largest_number) {
      refuse_at(item, "a number from 0 on, or a range", item.empty() ? "nothing" : item);
    }
    if (!last || *last < *first || *last > largest_number) {
      refuse_at(behind, fmt::format("a number from {} on, or nothing", *first), behind);
    }
    const bool open = dash != std::string_view::npos && behind.empty();
    const slot_range range = open ? index_ranges::open(*first) : index_ranges::closed(*first, *last);
    for (const slot_range& earlier : ranges) {
      if (!earlier.overlap(range).empty()) {
        refuse_at(item, "every number once", shown_item);
      }
    }
    ranges.push_back(range);
  }

  [[noreturn]] void refuse_at(std::string_view place, std::string_view expected, std::string_view got) const {
    refuse_in(whole_, place, expected, example_, got);
  }

  std::string_view whole_;
  std::string_view name_;
  std::string_view example_;
  std::vector<std::string_view> fields_;
  const std::vector<std::string>* roles_;
};

}  // namespace kvtransfer
