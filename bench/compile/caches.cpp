// A program that only handles caches: views one, moves, cuts, joins, saves and loads it. measure.py compiles it.

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <filesystem>
#include <vector>

#include "kvtransfer/cache/cache.hpp"
#include "kvtransfer/cache/cache_frame.hpp"
#include "kvtransfer/cache/concat.hpp"
#include "kvtransfer/cache/file/cache_file.hpp"
#include "kvtransfer/cache/file/expected_model.hpp"
#include "kvtransfer/cache/file/save_cache.hpp"
#include "kvtransfer/cache/slice.hpp"

std::int64_t joined_length(const std::vector<at::Tensor>& keys, const std::vector<at::Tensor>& values,
                           const kvtransfer::cache_frame& frame, const std::filesystem::path& path) {
  using namespace kvtransfer;
  cache moved(keys, values, frame);
  moved.shift(100);
  moved.materialize();
  const cache joined = concat(slice(moved.view(), 0, 2), slice(moved.view(), 2, 6));
  save_cache(path, joined.view());
  return cache_file::open(path).view(any_model).layer(0).keys().size(2);
}
