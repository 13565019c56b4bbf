#pragma once

#include <optional>

#include "kvtransfer/cache/cache_frame.hpp"
#include "kvtransfer/cache/file/detail/checksums.hpp"
#include "kvtransfer/tensor/safetensors_header.hpp"

namespace kvtransfer::detail {

/// All that a cache file says but the keys and values themselves.
struct cache_contents {
  safetensors_header header;
  std::optional<checksum_list> checksums;
  cache_frame stored;
};

}  // namespace kvtransfer::detail
