#pragma once

#include <filesystem>

namespace kvtransfer::detail {

/// Makes a folder with those above it. @throws file_error
void make_folder(const std::filesystem::path& folder);

}  // namespace kvtransfer::detail
