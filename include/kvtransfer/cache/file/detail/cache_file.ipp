#pragma once

#include <ATen/core/Tensor.h>

#include <algorithm>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>

#include "kvtransfer/cache/cache.hpp"
#include "kvtransfer/cache/cache_view.hpp"
#include "kvtransfer/cache/detail/layer_pairs.hpp"
#include "kvtransfer/cache/file/cache_file.hpp"
#include "kvtransfer/cache/file/detail/contents.hpp"
#include <filesystem>
#include "kvtransfer/cache/file/detail/format.hpp"
#include "kvtransfer/cache/file/detail/mapped_cache.hpp"
#include "kvtransfer/cache/file/expected_model.hpp"
#include "kvtransfer/cache/layer_view.hpp"
#include "kvtransfer/core/compiled.hpp"

namespace kvtransfer {

KVTRANSFER_INLINE cache_file::cache_file(const std::filesystem::path& path)
    : mapped_cache(path, detail::read_cache_contents) {}

KVTRANSFER_INLINE layer_view<> cache_file::layer(std::int64_t index, std::int64_t begin, std::int64_t end) const {
  auto part = frame().shared(index);
  if (begin != 0 || end != part->size()) {
    part = std::make_shared<const layer_frame>(part->slice(begin, end));
  }
  require_unmoved();
  const auto tokens_of = [&](const std::string& name) {
    fetch_tokens(name, begin, end);
    return file().tensor(name).slice(2, begin, end);
  };
  return {tokens_of(detail::cache_format::key(index)), tokens_of(detail::cache_format::value(index)), std::move(part)};
}

KVTRANSFER_INLINE cache_view<> cache_file::view(const expected_model& model) const {
  cache_frame read = frame();
  read.set_origin(model.accepted(read, path().string()));
  require_unmoved();
  detail::paging::expect_everything(file().bytes());
  const auto [keys, values] = detail::keys_and_values_of(layers(), [&](std::int64_t i) {
    return std::pair(file().tensor(detail::cache_format::key(i)), file().tensor(detail::cache_format::value(i)));
  });
  return {keys, values, std::move(read), as_written};
}

KVTRANSFER_INLINE cache cache_file::load(const expected_model& model, const load_options& options) const {
  const cache_view<> all = view(model);
  auto [keys, values] = detail::keys_and_values_of(layers(), [&](std::int64_t i) {
    verify(i);
    return std::pair(copied(all.layer(i).keys(), options), copied(all.layer(i).values(), options));
  });
  return cache(std::move(keys), std::move(values), all.frame(), as_written);
}

KVTRANSFER_INLINE at::Tensor cache_file::copied(const at::Tensor& part, const load_options& options) {
  const std::int64_t capacity = std::max(options.capacity, part.size(2));
  at::Tensor copy = part.new_empty({part.size(0), part.size(1), capacity, part.size(3)}, options.device);
  copy.slice(2, 0, part.size(2)).copy_(part);
  return copy;
}

}  // namespace kvtransfer
