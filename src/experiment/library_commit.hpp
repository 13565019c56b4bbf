#pragma once

#include <string>

namespace kvtransfer::detail {

/// The commit that the library was built from, with a plus sign where files differ from it; empty outside of a
/// repository. Written by cmake/write_commit.cmake at every build.
[[nodiscard]] std::string library_commit();

}  // namespace kvtransfer::detail
