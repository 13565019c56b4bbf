#pragma once

#include <fmt/format.h>

#include <cstdint>
#include <functional>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "kvtransfer/core/error.hpp"
#include "kvtransfer/core/json_file.hpp"

namespace kvtransfer::detail {

/// Typed reading of a JSON object's fields; what does not fit becomes a `file_error` with file and key.
///
/// A null counts as missing, as it does for a configuration in transformers. Keeps account of the keys that were asked
/// for, so that one nobody understands does not go unseen. Non-owning: the object must outlive it.
class json_fields {
 public:
  json_fields(const nlohmann::json& object, std::string file) : object_(&object), file_(std::move(file)) {}

  [[nodiscard]] const std::string& file() const { return file_; }
  [[nodiscard]] bool has(std::string_view key) const { return find(key) != nullptr; }
  /// Also true where the value is null.
  [[nodiscard]] bool present(std::string_view key) const {
    asked_.emplace(key);
    return object_->contains(key);
  }
  /// True where the value is null, which switches off what a missing key may leave on.
  [[nodiscard]] bool is_null(std::string_view key) const { return present(key) && !has(key); }

  /// The keys that nobody asked for, in the order of the alphabet.
  [[nodiscard]] std::vector<std::string> unread() const {
    std::vector<std::string> keys;
    for (const auto& member : object_->items()) {
      if (!asked_.contains(member.key())) {
        keys.push_back(member.key());
      }
    }
    return keys;
  }

  /// The value under `key`, or null where there is none.
  [[nodiscard]] const nlohmann::json* find(std::string_view key) const {
    asked_.emplace(key);
    const auto found = object_->find(key);
    return found == object_->end() || found->is_null() ? nullptr : &*found;
  }

  /// A size: 1 to `largest`. Without `otherwise` the key must be there.
  [[nodiscard]] std::int64_t size(std::string_view key, std::optional<std::int64_t> otherwise = {},
                                  std::int64_t largest = 2'147'483'647) const {
    const nlohmann::json* value = find(key);
    if (value == nullptr && otherwise) {
      return *otherwise;
    }
    if (value == nullptr || !value->is_number_integer() || *value < 1 || *value > largest) {
      refuse(key, fmt::format("an integer from 1 to {}", largest));
    }
    return value->get<std::int64_t>();
  }

  /// A whole number from 0.
  [[nodiscard]] std::int64_t count(std::string_view key, std::int64_t otherwise) const {
    const nlohmann::json* value = find(key);
    if (value != nullptr && (!value->is_number_integer() || *value < 0 || *value > 2'147'483'647)) {
      refuse(key, "an integer from 0 to 2147483647");
    }
    return value == nullptr ? otherwise : value->get<std::int64_t>();
  }

  [[nodiscard]] double positive_number(std::string_view key, double otherwise) const {
    const nlohmann::json* value = find(key);
    if (value != nullptr && (!value->is_number() || !(value->get<double>() > 0))) {
      refuse(key, "a positive number");
    }
    return value == nullptr ? otherwise : value->get<double>();
  }

  /// A positive number; nothing where the value is null.
  [[nodiscard]] std::optional<double> optional_number(std::string_view key, std::optional<double> otherwise) const {
    if (!has(key)) {
      return is_null(key) ? std::nullopt : otherwise;
    }
    return positive_number(key, 1);
  }

  [[nodiscard]] bool boolean(std::string_view key, bool otherwise) const {
    const nlohmann::json* value = find(key);
    if (value != nullptr && !value->is_boolean()) {
      refuse(key, "true or false");
    }
    return value == nullptr ? otherwise : value->get<bool>();
  }

  [[nodiscard]] std::string string(std::string_view key, std::string_view otherwise) const {
    const nlohmann::json* value = find(key);
    if (value != nullptr && !value->is_string()) {
      refuse(key, "a string");
    }
    return value == nullptr ? std::string(otherwise) : value->get<std::string>();
  }

  /// Token ids: one or a list; empty where there is none.
  [[nodiscard]] std::vector<std::int64_t> token_ids(std::string_view key) const {
    const nlohmann::json* value = find(key);
    if (value == nullptr) {
      return {};
    }
    std::vector<std::int64_t> ids;
    for (const nlohmann::json& id : value->is_array() ? *value : nlohmann::json::array({*value})) {
      if (!id.is_number_integer() || id < 0 || id > 2'147'483'647) {
        refuse(key, "a token id or a list of them");
      }
      ids.push_back(id.get<std::int64_t>());
    }
    return ids;
  }

  /// @throws file_error always: the key, what was expected, and the value found
  [[noreturn]] void refuse(std::string_view key, std::string_view expected) const {
    const auto found = object_->find(key);
    fail<file_error>(file_, key, expected, found == object_->end() ? "no such key" : excerpt(*found));
  }

 private:
  const nlohmann::json* object_;
  std::string file_;
  mutable std::set<std::string, std::less<>> asked_;
};

}  // namespace kvtransfer::detail
