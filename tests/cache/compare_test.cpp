#include "kvtransfer/cache/compare.hpp"

#include <ATen/ops/norm.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/zeros.h>

#include <cmath>
#include <vector>

#include "cache/layout_cases.hpp"
#include "kvtransfer/cache/cache.hpp"
#include "support/message.hpp"
#include "support/test.hpp"

using namespace kvtransfer;
using namespace kvtransfer::test;

namespace {

void check_comparisons(at::Device device) {
  for_each_case(device, [](const cache_view<>& reference, const auto& view) {
    const cache_difference none = compare(view, reference);
    REQUIRE(none.largest() == 0);
    REQUIRE(none.relative() == 0);
    REQUIRE(none.layers.size() == 2);
    REQUIRE(none.layers[1].keys.largest.size(0) == reference.layer(0).extents().kv_heads);
  });
}

}  // namespace

TEST_CASE("a cache in any layout does not differ from itself", "[cache][compare]") { check_comparisons(at::kCPU); }

TEST_CASE("a cache in any layout does not differ from itself on a GPU", "[cache][compare][cuda]") {
  if (cuda_available()) {
    check_comparisons(at::kCUDA);
  }
}

TEST_CASE("a difference is found in its layer and head", "[cache][compare]") {
  const reference_cache expected = reference_in(at::kFloat, padding_side::none);
  const cache found(expected.view());
  found.view().layer(1).keys()[2][1][4][3] += 0.5;
  found.view().layer(0).values()[0][0][0][0] -= 2;
  const cache_difference difference = compare(found.view(), expected.view());
  CHECK(difference.layers[1].keys.largest[1].item<double>() == Approx(0.5));
  CHECK(difference.layers[1].keys.largest[0].item<double>() == 0);
  CHECK(difference.layers[0].keys.relative.max().item<double>() == 0);
  const double norm = expected.values[0].select(1, 0).norm().item<double>();
  CHECK(difference.layers[0].values.relative[0].item<double>() == Approx(2 / norm));
  CHECK(difference.largest() == Approx(2));
  CHECK(difference.relative() == Approx(2 / norm));
}

TEST_CASE("padding does not count", "[cache][compare]") {
  const reference_cache expected = reference_in(at::kFloat, padding_side::left);
  const cache found(expected.view());
  found.view().layer(0).keys()[2].select(1, 0).fill_(100);
  CHECK(compare(found.view(), expected.view()).largest() == 0);
}

TEST_CASE("a difference from nothing is infinite, and none from nothing is none", "[cache][compare]") {
  const cache_frame frame(1, {position_map::consecutive(0, 2), {plain_specification(8)}});
  const std::vector<at::Tensor> zeros = {at::zeros({1, 1, 2, 8})};
  const std::vector<at::Tensor> ones = {at::ones({1, 1, 2, 8})};
  CHECK(compare(cache_view<>(zeros, zeros, frame), cache_view<>(zeros, zeros, frame)).relative() == 0);
  CHECK(std::isinf(compare(cache_view<>(ones, ones, frame), cache_view<>(zeros, zeros, frame)).relative()));
}

TEST_CASE("caches that cannot be compared are refused", "[cache][compare]") {
  const reference_cache source = reference_in(at::kFloat, padding_side::left);
  const reference_cache elsewhere = reference_in(at::kFloat, padding_side::right);
  CHECK(message_of<frame_error>([&] { (void)compare(source.view(), elsewhere.view()); }) ==
        "compare: layer 0: expected padding at the same slots in both caches, got padding at slot 0 of row 1 beside a "
        "key");
  CHECK_THROWS_AS(compare(source.view(), source.view().slice(0, 4)), shape_error);
  CHECK_THROWS_AS(compare(source.view(), latent_reference_in(at::kFloat, padding_side::left).view()), shape_error);
}

TEST_CASE("what is no number is no small difference", "[cache][compare]") {
  const reference_cache expected = reference_in(at::kFloat, padding_side::none);
  for (const float broken : {std::nanf(""), HUGE_VALF}) {
    const cache found(expected.view());
    found.view().layer(0).keys()[2][1][4][3] = broken;
    const cache_difference difference = compare(found.view(), expected.view());
    CHECK_FALSE(difference.largest() < 1e30);
    CHECK_FALSE(difference.relative() < 1e30);
    CHECK(difference.layers[1].keys.largest.max().item<double>() == 0);
  }
}
