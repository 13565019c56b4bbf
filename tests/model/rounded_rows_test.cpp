#include "model/rounded_rows.hpp"

#include <ATen/ops/allclose.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/randn.h>

#include <set>

#include "support/test.hpp"

using namespace kvtransfer::detail;

TEST_CASE("rounded rows are at least the rows, at most twice as many, and few numbers", "[model][rounded_rows]") {
  std::set<std::int64_t> numbers;
  for (std::int64_t rows = 1; rows <= 4096; ++rows) {
    CAPTURE(rows);
    const std::int64_t rounded = rounded_rows(rows);
    REQUIRE(rounded >= rows);
    REQUIRE((rows <= 32 ? rounded < 2 * rows : (rounded - rows) * 8 < rows || rounded - rows < 16));
    REQUIRE(rounded_rows(rounded) == rounded);
    REQUIRE(rounded_rows(rows + 1) >= rounded);
    numbers.insert(rounded);
  }
  CHECK(numbers.size() < 64);
}

TEST_CASE("a product in rounded rows is the product", "[model][rounded_rows]") {
  for (const at::ScalarType dtype : {at::kFloat, at::kBFloat16, at::kHalf}) {
    CAPTURE(at::toString(dtype));
    const at::Tensor weight = at::randn({24, 40}).to(dtype);
    const at::Tensor bias = at::randn({24}).to(dtype);
    for (const std::int64_t rows : {0, 1, 2, 5, 17, 33}) {
      CAPTURE(rows);
      const at::Tensor x = at::randn({1, rows, 40}).to(dtype);
      for (const at::Tensor& added : {bias, at::Tensor()}) {
        const at::Tensor wanted = at::linear(x, weight, added.defined() ? std::optional(added) : std::nullopt);
        const at::Tensor got = linear_in_rounded_rows(x, weight, added);
        CHECK(got.sizes() == wanted.sizes());
        CHECK(got.scalar_type() == dtype);
        CHECK(at::allclose(got.to(at::kFloat), wanted.to(at::kFloat), 1e-2, 1e-2));
      }
    }
  }
}

TEST_CASE("a product in rounded rows takes columns of a larger tensor, and gives gradients", "[model][rounded_rows]") {
  const at::Tensor weight = at::randn({24, 40}).to(at::kBFloat16);
  const at::Tensor wide = at::randn({5, 80}).to(at::kBFloat16);
  const at::Tensor x = wide.slice(1, 20, 60);
  CHECK(at::allclose(linear_in_rounded_rows(x, weight, {}).to(at::kFloat), at::linear(x, weight).to(at::kFloat), 1e-2,
                     1e-2));
  const at::Tensor tracked = at::randn({5, 40}).to(at::kBFloat16).requires_grad_(true);
  linear_in_rounded_rows(tracked, weight, {}).sum().backward();
  CHECK(at::allclose(tracked.grad().to(at::kFloat), weight.to(at::kFloat).sum(0).expand({5, 40}), 2e-2, 2e-2));
}
