#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>

namespace kvtransfer::detail {

/// Texts of tokens and their ids, one to one.
class token_table {
 public:
  token_table() = default;
  token_table(token_table&&) = default;
  token_table& operator=(token_table&&) = default;

  /// @return false, and nothing is changed, if the text or the id is taken
  bool insert(std::string text, std::int32_t id) {
    if (texts_.contains(id)) {
      return false;
    }
    const auto [place, is_new] = ids_.emplace(std::move(text), id);
    if (is_new) {
      texts_.emplace(id, &place->first);
      largest_ = id > largest_ ? id : largest_;
    }
    return is_new;
  }

  std::optional<std::int32_t> id_of(const std::string& text) const {
    const auto found = ids_.find(text);
    return found == ids_.end() ? std::nullopt : std::optional(found->second);
  }

  /// The token's text, or null where there is no such id.
  const std::string* text_of(std::int64_t id) const {
    const auto found = texts_.find(id);
    return found == texts_.end() ? nullptr : found->second;
  }

  std::size_t size() const { return ids_.size(); }
  /// -1 for an empty table.
  std::int32_t largest_id() const { return largest_; }

 private:
  std::unordered_map<std::string, std::int32_t> ids_;
  std::unordered_map<std::int64_t, const std::string*>
      texts_;  ///< into the keys of `ids_`, which a move leaves in place
  std::int32_t largest_ = -1;
};

}  // namespace kvtransfer::detail
