#pragma once

namespace kvtransfer {

/// This library's version; CMake reads it here.
inline constexpr const char* library_version = "0.2.0";

}  // namespace kvtransfer
