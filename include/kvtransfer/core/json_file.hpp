#pragma once

#include <filesystem>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>

namespace kvtransfer {

/// Parses JSON from an untrusted file: keys unique in every object, nesting bounded.
/// @param file named in errors
/// @param max_depth deepest nesting of objects and arrays
/// @throws file_error
[[nodiscard]] nlohmann::json parse_json(std::string_view text, std::string_view file, int max_depth = 64);

/// The whole of a text file. @throws file_error
[[nodiscard]] std::string read_text(const std::filesystem::path& path);

/// Reads a JSON file whose top level is an object. @throws file_error
[[nodiscard]] nlohmann::json read_json_object(const std::filesystem::path& path);

}  // namespace kvtransfer

#ifndef KVTRANSFER_COMPILED
#include "kvtransfer/core/detail/json_file.ipp"  // IWYU pragma: export
#endif
