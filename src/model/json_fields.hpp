#pragma once

#include <cstdint>
#include <functional>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "kvtransfer/core/json_reader.hpp"

namespace kvtransfer::detail {

/// The fields of a configuration, read as `json_reader` reads them, with an account of the keys that were asked for:
/// one nobody understands does not go unseen.
///
/// A null counts as missing, as it does in transformers. Non-owning: the object must outlive it.
class json_fields {
 public:
  json_fields(const nlohmann::json& object, std::string file) : file_(std::move(file)), object_(object, file_) {}
  json_fields(const json_fields&) = delete;  // the reader shows the name of this one's file
  json_fields& operator=(const json_fields&) = delete;

  [[nodiscard]] const std::string& file() const { return file_; }
  [[nodiscard]] bool has(std::string_view key) const { return find(key) != nullptr; }
  /// Also true where the value is null.
  [[nodiscard]] bool present(std::string_view key) const { return asked(key).contains(key); }
  /// True where the value is null, which switches off what a missing key may leave on.
  [[nodiscard]] bool is_null(std::string_view key) const { return present(key) && !has(key); }

  /// The keys that nobody asked for, in the order of the alphabet.
  [[nodiscard]] std::vector<std::string> unread() const {
    std::vector<std::string> keys = object_.keys();
    std::erase_if(keys, [this](const std::string& key) { return asked_.contains(key); });
    return keys;
  }

  /// The value under `key`, or null where there is none.
  [[nodiscard]] const nlohmann::json* find(std::string_view key) const {
    const auto found = asked(key).find(key);
    return found ? &found->value() : nullptr;
  }

  /// A size: 1 to `largest`. Without `otherwise` the key must be there.
  [[nodiscard]] std::int64_t size(std::string_view key, std::optional<std::int64_t> otherwise = {},
                                  std::int64_t largest = most) const {
    return asked(key).size_of(key, otherwise, largest);
  }

  /// A whole number from 0.
  [[nodiscard]] std::int64_t count(std::string_view key, std::int64_t otherwise) const {
    const auto found = asked(key).find(key);
    return found ? found->integer(0, most) : otherwise;
  }

  [[nodiscard]] double positive_number(std::string_view key, double otherwise) const {
    return asked(key).positive_number(key, otherwise);
  }

  /// A positive number; nothing where the value is null.
  [[nodiscard]] std::optional<double> optional_number(std::string_view key, std::optional<double> otherwise) const {
    if (!has(key)) {
      return is_null(key) ? std::nullopt : otherwise;
    }
    return positive_number(key, 1);
  }

  [[nodiscard]] bool boolean(std::string_view key, bool otherwise) const { return asked(key).boolean(key, otherwise); }

  [[nodiscard]] std::string string(std::string_view key, std::string_view otherwise) const {
    return asked(key).text(key, otherwise);
  }

  /// A list of strings; empty where there is none.
  [[nodiscard]] std::vector<std::string> strings(std::string_view key) const {
    const auto found = asked(key).find(key);
    return found ? found->texts() : std::vector<std::string>{};
  }

  /// Token ids: one or a list; empty where there is none.
  [[nodiscard]] std::vector<std::int64_t> token_ids(std::string_view key) const {
    std::vector<std::int64_t> ids;
    const auto add = [&](const json_reader& id) { ids.push_back(id.integer(0, most)); };
    if (const auto found = asked(key).find(key)) {
      found->value().is_array() ? found->for_each_item(add) : add(*found);
    }
    return ids;
  }

  /// @throws file_error always: the key, what was expected, and the value found
  [[noreturn]] void refuse(std::string_view key, std::string_view expected) const { object_.refuse(key, expected); }

 private:
  static constexpr std::int64_t most = 2'147'483'647;

  [[nodiscard]] const json_reader& asked(std::string_view key) const {
    asked_.emplace(key);
    return object_;
  }

  std::string file_;
  json_reader object_;
  mutable std::set<std::string, std::less<>> asked_;
};

}  // namespace kvtransfer::detail
