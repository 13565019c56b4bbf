#include "kvtransfer/inject/noise.hpp"

#include <ATen/ops/equal.h>
#include <ATen/ops/std_mean.h>

#include <cmath>
#include <limits>
#include <vector>

#include "cache/known_cache.hpp"
#include "support/test.hpp"

using namespace kvtransfer;
using namespace kvtransfer::test;

namespace {

/// Random keys and values in two layers of `seq` tokens, each row and head scaled and moved in its own way.
cache uneven_cache(std::int64_t seq, at::ScalarType dtype = at::kFloat) {
  std::vector<at::Tensor> keys;
  std::vector<at::Tensor> values;
  for (std::uint64_t i = 0; i < 2; ++i) {
    const at::Tensor scale = random_keys({2, 3, 1, 1}, at::kDouble, 30 + i).abs() * 3 + 0.1;
    const at::Tensor centre = random_keys({2, 3, 1, 1}, at::kDouble, 40 + i) * 5;
    keys.push_back((random_keys({2, 3, seq, 8}, at::kDouble, 50 + i) * scale + centre).to(dtype));
    values.push_back((random_keys({2, 3, seq, 8}, at::kDouble, 60 + i) * centre.abs() - scale).to(dtype));
  }
  return cache(keys, values, cache_frame(2, {position_map::consecutive(0, seq, 2), {known_specification()}}));
}

/// Standard deviation and mean of each row and head, in that order.
std::pair<at::Tensor, at::Tensor> moments(const at::Tensor& tensor) {
  const auto [deviation, mean] =
      at::std_mean(tensor.to(at::kDouble), at::OptionalIntArrayRef({2, 3}), at::Scalar(0), false);
  return {deviation, mean};
}

/// The largest difference of means, and of deviations, in units of what chance allows one of them.
double surprise(const at::Tensor& noise, const at::Tensor& source) {
  const auto [deviation, mean] = moments(source);
  const auto [noise_deviation, noise_mean] = moments(noise);
  const double count = static_cast<double>(source.size(2) * source.size(3));
  const double of_mean = ((noise_mean - mean) / deviation).abs().max().item<double>() * std::sqrt(count);
  const double of_deviation = (noise_deviation / deviation - 1).abs().max().item<double>() * std::sqrt(2 * count);
  return std::max(of_mean, of_deviation);
}

}  // namespace

TEST_CASE("noise has the source's mean and deviation in every layer, row and head", "[inject][noise]") {
  const cache source = uneven_cache(500);
  const cache noise = moment_matched_noise(source.view(), 3);
  for (std::int64_t i = 0; i < 2; ++i) {
    CHECK(surprise(noise.view().layer(i).keys(), source.view().layer(i).keys()) < 5);
    CHECK(surprise(noise.view().layer(i).values(), source.view().layer(i).values()) < 5);
  }
}

TEST_CASE("noise is drawn by its seed alone", "[inject][noise]") {
  const cache source = uneven_cache(6);
  const cache once = moment_matched_noise(source.view(), 3);
  const cache again = moment_matched_noise(source.view(), 3);
  const cache other = moment_matched_noise(source.view(), 4);
  for (std::int64_t i = 0; i < 2; ++i) {
    CHECK(at::equal(once.view().layer(i).keys(), again.view().layer(i).keys()));
    CHECK(at::equal(once.view().layer(i).values(), again.view().layer(i).values()));
    CHECK_FALSE(at::equal(once.view().layer(i).keys(), other.view().layer(i).keys()));
  }
}

TEST_CASE("noise differs between layers, rows, heads, keys and values", "[inject][noise]") {
  const at::Tensor same = random_keys({1, 1, 6, 8}).expand({2, 3, 6, 8});
  const cache source({same, same}, {same, same}, uneven_cache(6).view().frame());
  const cache noise = moment_matched_noise(source.view(), 3);
  const at::Tensor first = noise.view().layer(0).keys();
  CHECK_FALSE(at::equal(first, noise.view().layer(1).keys()));
  CHECK_FALSE(at::equal(first, noise.view().layer(0).values()));
  CHECK_FALSE(at::equal(first[0], first[1]));
  CHECK_FALSE(at::equal(first[0][0], first[0][1]));
}

TEST_CASE("noise has the source's shape, type and frame, and is an edit of all of it", "[inject][noise]") {
  const cache source = uneven_cache(6, at::kBFloat16);
  const cache noise = moment_matched_noise(source.view(), 3);
  CHECK(noise.view().layer(1).keys().scalar_type() == at::kBFloat16);
  CHECK(noise.view().layer(1).extents() == source.view().layer(1).extents());
  CHECK_FALSE(noise.view().frame().assumed());
  cache_frame expected = source.view().frame();
  expected.add_edit({edit_kind::noise, cache_half::both, {0, 1}, {}, {{0, 6}}, "seed 3"});
  CHECK(noise.view().frame() == expected);
}

TEST_CASE("what padding holds does not reach the noise", "[inject][noise]") {
  position_row behind_padding = position_row::consecutive(0, 100, slot_state::padding());
  behind_padding.append(position_row::consecutive(0, 200));
  const at::Tensor keys = random_keys({1, 2, 300, 8}, at::kDouble);
  keys.slice(2, 0, 100).fill_(std::numeric_limits<double>::quiet_NaN());
  const cache source({keys}, {keys}, cache_frame(1, {position_map(behind_padding), {known_specification()}}));
  const cache noise = moment_matched_noise(source.view(), 3);
  CHECK(noise.view().layer(0).keys().isfinite().all().item<bool>());
  CHECK(surprise(noise.view().layer(0).keys().slice(2, 100), keys.slice(2, 100)) < 5);
}

TEST_CASE("a constant has no noise", "[inject][noise]") {
  const at::Tensor keys = random_keys({2, 3, 1, 1}).expand({2, 3, 6, 8});
  const cache source({keys}, {keys}, cache_frame(1, {position_map::consecutive(0, 6, 2), {known_specification()}}));
  CHECK(max_difference(moment_matched_noise(source.view(), 1).view().layer(0).keys(), keys) < 1e-5);
}

TEST_CASE("a GPU sees the same noise as the host", "[inject][noise][cuda]") {
  if (!cuda_available()) {
    return;
  }
  const cache host = uneven_cache(6);
  const cache_view<> view = host.view();
  const cache device({view.layer(0).keys().to(at::kCUDA), view.layer(1).keys().to(at::kCUDA)},
                     {view.layer(0).values().to(at::kCUDA), view.layer(1).values().to(at::kCUDA)}, view.frame());
  CHECK(max_difference(moment_matched_noise(device.view(), 3).view().layer(1).values(),
                       moment_matched_noise(host.view(), 3).view().layer(1).values()) < 1e-4);
}
