#pragma once

#include <ATen/core/Tensor.h>
#include <fmt/format.h>

#include <algorithm>
#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "kvtransfer/core/compiled.hpp"
#include "kvtransfer/core/error.hpp"
#include "kvtransfer/tensor/checks.hpp"
#include "kvtransfer/tensor/operations.hpp"
#include "kvtransfer/tensor/quantized/concat.hpp"
#include "kvtransfer/tensor/quantized/quantized_tensor.hpp"

namespace kvtransfer {

KVTRANSFER_INLINE quantized_tensor concat(const std::vector<quantized_tensor>& parts, std::string_view where) {
  require<shape_error>(!parts.empty(), where, "parts", "at least one", "none");
  quantized_tensor all = parts.front();
  for (std::size_t i = 1; i < parts.size(); ++i) {
    const std::string what = fmt::format("part {}", i);
    const cache_extents extents = parts[i].extents();
    require<value_error>(parts[i].scheme == all.scheme, where, what, describe(all.scheme), describe(parts[i].scheme));
    require_extents(extents, parts[i].dtype, all.extents().with_seq(extents.seq), all.dtype, where, what);
    require_same_device(all.codes, parts[i].codes, where, what);
    all.groups = all.groups.followed_by(parts[i].groups);
  }
  const auto joined = [&](auto&& tensor_of) {
    std::vector<at::Tensor> tensors;
    for (const quantized_tensor& part : parts) {
      tensors.push_back(tensor_of(part));
    }
    return detail::joined(tensors, 2);
  };
  all.codes =
      joined([](const quantized_tensor& part) { return part.codes.view(at::kByte); }).view(all.codes.scalar_type());
  all.scales = joined([](const quantized_tensor& part) { return part.scales; });
  if (all.minimums.defined()) {
    all.minimums = joined([](const quantized_tensor& part) { return part.minimums; });
  }
  if (std::ranges::any_of(parts, [](const quantized_tensor& part) { return part.carried_error.defined(); })) {
    all.carried_error = joined([](const quantized_tensor& part) {
      return part.carried_error.defined() ? part.carried_error : detail::zeros_as(part.scales);
    });
  }
  return all;
}

KVTRANSFER_INLINE quantized_tensor concat(const quantized_tensor& first, const quantized_tensor& second,
                                          std::string_view where) {
  return concat({first, second}, where);
}

}  // namespace kvtransfer
