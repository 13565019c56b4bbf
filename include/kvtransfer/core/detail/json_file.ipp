#pragma once

#include <fmt/format.h>

#include <cstddef>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <unordered_set>
#include <vector>

#include "kvtransfer/core/compiled.hpp"
#include "kvtransfer/core/error.hpp"
#include "kvtransfer/core/excerpt.hpp"
#include "kvtransfer/core/json_file.hpp"

namespace kvtransfer {

KVTRANSFER_INLINE nlohmann::json parse_json(std::string_view text, std::string_view file, int max_depth) {
  using event = nlohmann::json::parse_event_t;
  std::vector<std::unordered_set<std::string>> keys_seen;
  const auto check = [&](int depth, event what, nlohmann::json& value) {
    if (what == event::object_start || what == event::array_start) {
      require<file_error>(depth < max_depth, file, "JSON", formatted("at most {} nested levels", max_depth), "more");
      if (what == event::object_start) {
        keys_seen.emplace_back();
      }
    } else if (what == event::object_end) {
      keys_seen.pop_back();
    } else if (what == event::key && !keys_seen.back().insert(value.get_ref<const std::string&>()).second) {
      fail<file_error>(file, "JSON", "unique keys",
                       fmt::format("{} twice", excerpt(value.get_ref<const std::string&>())));
    }
    return true;
  };
  try {
    return nlohmann::json::parse(text.begin(), text.end(), check);
  } catch (const nlohmann::json::parse_error& bad) {
    fail<file_error>(file, "JSON", "valid JSON", fmt::format("a syntax error at byte {}", bad.byte));
  } catch (const nlohmann::json::exception& bad) {
    fail<file_error>(file, "JSON", "numbers within the range of a double", excerpt(bad.what()));
  }
}

KVTRANSFER_INLINE std::string read_text(const std::filesystem::path& path) {
  std::error_code ignored;
  if (!std::filesystem::exists(path, ignored)) {
    fail<file_error>(path.string(), "file", "an existing file", "none");
  }
  std::ifstream stream(path, std::ios::binary);
  if (std::filesystem::is_directory(path, ignored) || !stream) {
    fail<file_error>(path.string(), "file", "a readable file", "a folder or a file without read permission");
  }
  return {std::istreambuf_iterator<char>(stream), {}};
}

KVTRANSFER_INLINE nlohmann::json read_json_object(const std::filesystem::path& path) {
  nlohmann::json content = parse_json(read_text(path), path.string());
  if (!content.is_object()) {
    fail<file_error>(path.string(), "JSON", "an object at the top level", content.type_name());
  }
  return content;
}

}  // namespace kvtransfer
