#pragma once

#include <cstdint>

#include "kvtransfer/cache/cache_view.hpp"
#include "kvtransfer/cache/detail/view_access.hpp"

namespace kvtransfer {

/// The one sequence of `source` shown as each of `batch`, without a copy. A move that is pending stays so.
/// @throws shape_error unless `source` has one sequence, and `batch` is positive
[[nodiscard]] cache_view<> expand_rows(const cache_view<>& source, std::int64_t batch);

}  // namespace kvtransfer

#ifndef KVTRANSFER_COMPILED
#include "kvtransfer/cache/detail/expand_rows.ipp"  // IWYU pragma: export
#endif
