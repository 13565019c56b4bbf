#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "model/weights/digest.hpp"

namespace kvtransfer::detail {

/// The digest of what a trial depends on beside its model, its test and its condition's name.
class input_digest {
 public:
  /// A file's bytes, whatever its name. @throws file_error
  void add_file(const std::filesystem::path& file);
  /// What a model reads.
  void add_tokens(const std::vector<std::int64_t>& token_ids);
  /// Another digest, say.
  void add_text(std::string_view text);

  /// 32 hexadecimal digits; empty where nothing was added.
  [[nodiscard]] std::string text() const { return empty_ ? std::string() : all_.text(); }

 private:
  digest all_;
  bool empty_ = true;
};

}  // namespace kvtransfer::detail
