// A program of somebody else's that has our headers and none of our libraries: it moves a cache, cuts it, joins it,
// saves it and plans with it.

#include <ATen/ops/allclose.h>
#include <ATen/ops/randn.h>
#include <fmt/format.h>

#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <string_view>
#include <vector>

#include "kvtransfer/kvtransfer.hpp"

namespace {

void check(bool holds, std::string_view what) {
  if (!holds) {
    fmt::print(stderr, "whole_path: {} does not hold\n", what);
    std::exit(1);
  }
}

/// Two layers of `keys`, as a model would have rotated them at `first`, `first` + 1, …
kvtransfer::cache written_at(std::int64_t first, const std::vector<at::Tensor>& keys,
                             const kvtransfer::rotary_specification& specification) {
  const std::int64_t length = keys.front().size(2);
  const kvtransfer::position_map positions = kvtransfer::position_map::consecutive(first, length);
  std::vector<at::Tensor> rotated;
  for (const at::Tensor& layer : keys) {
    rotated.push_back(kvtransfer::rope::rotate(layer, kvtransfer::position_tensor(positions, at::kCPU), specification));
  }
  return {rotated, keys, kvtransfer::cache_frame(2, kvtransfer::layer_frame{positions, {specification}})};
}

}  // namespace

int main() {
  using namespace kvtransfer;
  const rotary_specification specification{.inv_freq = {1.0F, 0.1F, 0.01F, 0.001F}};
  const std::vector<at::Tensor> keys = {at::randn({1, 2, 6, 8}), at::randn({1, 2, 6, 8})};

  cache moved = written_at(0, keys, specification);
  moved.shift(100);
  moved.materialize();
  const cache there = written_at(100, keys, specification);
  check(at::allclose(moved.view().layer(1).keys(), there.view().layer(1).keys(), 1e-4, 1e-4), "translation");
  check(moved.view().frame() == there.view().frame(), "the frame of a move");

  const cache joined = concat(slice(moved.view(), 0, 2), slice(moved.view(), 2, 6));
  check(joined.view().frame() == moved.view().frame(), "the frame of a join");
  check(joined.view().layer(0).values().equal(keys[0]), "values that do not move");

  const std::filesystem::path path = std::filesystem::temp_directory_path() / "kvtransfer_header_only.safetensors";
  save_cache(path, joined.view());
  check(cache_file::open(path).view(any_model).layer(1).keys().equal(joined.view().layer(1).keys()), "a file's keys");
  std::filesystem::remove(path);

  const plan next = prepend(joined.view(), {{7, 8, 9}});
  check(next.positions.row(0, 0, 0).positions() == std::vector<std::int64_t>{106, 107, 108}, "the offset of a plan");
  fmt::print("{} implementation, all holds\n", to_string(rope::implementation_used(keys.front())));
}
