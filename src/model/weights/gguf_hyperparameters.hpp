#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "kvtransfer/model/weights/gguf_metadata.hpp"

namespace kvtransfer::detail {

/// The metadata keys of one architecture, `llama.…`, by what follows its name. Keeps account of the keys that were
/// asked for, so that one nobody understands does not go unseen. Non-owning.
class gguf_hyperparameters {
 public:
  gguf_hyperparameters(const gguf_metadata& metadata, std::string_view architecture)
      : metadata_(&metadata), prefix_(std::string(architecture) + ".") {}

  [[nodiscard]] bool has(std::string_view key) const { return metadata_->has(full(key)); }

  /// A size from 1 to `largest`; a list that says the same for every layer counts as one.
  /// @param otherwise where there is no such key; without it the key must be there
  std::int64_t size(std::string_view key, std::optional<std::int64_t> otherwise = {},
                    std::int64_t largest = 2'147'483'647);

  /// A whole number from 0, or 0 where there is no such key.
  std::int64_t count(std::string_view key);

  /// A positive number. @param otherwise as with `size`
  double positive(std::string_view key, std::optional<double> otherwise = {});

  /// The key's text; empty where there is none.
  std::string_view text(std::string_view key);

  /// Booleans or numbers, one or a list.
  std::vector<std::int64_t> integers(std::string_view key);

  /// Refuses any other value than `only`. @param expected what the error says
  void require_only(std::string_view key, double only, std::string_view expected);

  /// Keys that were not asked for must have the one value at which they change nothing. @throws file_error otherwise
  void refuse_others();

  /// @throws file_error always
  [[noreturn]] void refuse(std::string_view key, std::string_view expected) const {
    metadata_->refuse(full(key), expected);
  }

 private:
  [[nodiscard]] std::string full(std::string_view key) const { return prefix_ + std::string(key); }

  /// The full key, from now on among those asked for.
  std::string asked(std::string_view key) { return *asked_.insert(full(key)).first; }

  const gguf_metadata* metadata_;
  std::string prefix_;
  std::set<std::string, std::less<>> asked_;
};

}  // namespace kvtransfer::detail
