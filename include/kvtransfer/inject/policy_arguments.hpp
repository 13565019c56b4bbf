#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
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
                   const std::vector<std::string>& roles);

  /// Fields behind the name.
  [[nodiscard]] std::size_t count() const { return fields_.size(); }

  /// @throws value_error unless there are so many fields
  void require_count(std::size_t least, std::size_t most) const;

  /// A field as it is. @throws value_error where it is empty or not there
  [[nodiscard]] std::string_view field(std::size_t index) const;

  /// A whole number. @throws value_error unless it is one of `least` or more
  [[nodiscard]] std::int64_t number(std::size_t index, std::int64_t least) const;

  /// A number with a point or without. @throws value_error unless it is one between −1000 and 1000
  [[nodiscard]] double real(std::size_t index) const;

  /// A name of small letters, digits, `_` and `-` that begins with a letter. @throws value_error for anything else
  [[nodiscard]] std::string name(std::size_t index) const;

  /// The donor of that role. @throws value_error that lists the roles, unless it is one of them
  [[nodiscard]] donor donor_at(std::size_t index) const;

  /// Likewise, one that has a length. @throws value_error for zeros too
  [[nodiscard]] donor cache_at(std::size_t index) const;

  /// Several donors: `other,target`. @throws value_error unless each is one, and named once
  [[nodiscard]] std::vector<donor> donors(std::size_t index) const;

  /// A donor or one half of it: `other`, `other.keys`, `other.values`. @throws value_error for anything else
  [[nodiscard]] std::pair<donor, cache_half> donor_half(std::size_t index) const;

  /// Numbers and ranges, as in `2-4,7,9-`. @throws value_error for anything else, and where one is named twice
  [[nodiscard]] index_ranges indices(std::size_t index) const;

  /// `first-last` or one number. @throws value_error for anything else
  [[nodiscard]] std::pair<std::int64_t, std::int64_t> closed_range(std::size_t index) const;

  /// Heads, of every layer or of one, as in `0-1,3.2`. @throws value_error for anything else, and for a head named
  /// twice
  [[nodiscard]] std::vector<head_group> head_groups(std::size_t index) const;

  /// Complains of a field. @param expected what would be right in its place
  [[noreturn]] void refuse(std::size_t index, std::string_view expected, std::string_view got) const;

  /// Complains that a name is no donor's. @param place where the complaint points
  void require_role(std::string_view role, std::string_view place) const;

  /// Complains of `place`, a part of the whole text, by where it begins. @param example how it is written; none where
  /// empty
  [[noreturn]] static void refuse_in(std::string_view whole, std::string_view place, std::string_view expected,
                                     std::string_view example, std::string_view got);

 private:
  static constexpr std::int64_t largest_number = std::int64_t{1} << 40;  // far past any position

  /// Text fit for one line: as much of it as a reader needs, without what a terminal would act on.
  static std::string shown(std::string_view text);

  static std::optional<std::int64_t> whole_number(std::string_view text);

  static std::vector<std::string_view> items(std::string_view list);

  /// Reads `2`, `2-4` or `2-`, which must not meet what is there already. @param shown_item for complaints
  void append(std::vector<slot_range>& ranges, std::string_view item, std::string_view shown_item) const;

  [[noreturn]] void refuse_at(std::string_view place, std::string_view expected, std::string_view got) const;

  std::string_view whole_;
  std::string_view name_;
  std::string_view example_;
  std::vector<std::string_view> fields_;
  const std::vector<std::string>* roles_;
};

}  // namespace kvtransfer

#ifndef KVTRANSFER_COMPILED
#include "kvtransfer/inject/detail/policy_arguments.ipp"  // IWYU pragma: export
#endif
