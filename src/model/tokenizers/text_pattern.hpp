#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace kvtransfer::detail {

/// Bytes [begin, end) of a text.
struct text_range {
  std::size_t begin;
  std::size_t end;

  bool operator==(const text_range&) const = default;
};

/// What is looked for in a text: a literal or a regular expression. Cheap to copy.
class text_pattern {
 public:
  static text_pattern literal(std::string text);
  /// @param expression in Oniguruma's syntax
  /// @param where named in errors: file and field
  /// @throws file_error if it can't be read
  static text_pattern regex(std::string_view expression, std::string where);

  /// All that matches, from left to right without overlaps; empty matches too, but none right behind a match,
  /// and none in an empty text.
  /// @param text valid UTF-8
  /// @throws file_error if the expression takes more steps or memory on this text than is sane
  [[nodiscard]] std::vector<text_range> find_all(std::string_view text) const { return find_all_(text); }

 private:
  using finder = std::function<std::vector<text_range>(std::string_view)>;
  explicit text_pattern(finder find_all) : find_all_(std::move(find_all)) {}

  finder find_all_;
};

}  // namespace kvtransfer::detail
