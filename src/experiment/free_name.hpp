#pragma once

#include <filesystem>

namespace kvtransfer::detail {

/// The first of `FOLDER.1`, `FOLDER.2` … that is free.
[[nodiscard]] std::filesystem::path free_name(const std::filesystem::path& folder);

}  // namespace kvtransfer::detail
