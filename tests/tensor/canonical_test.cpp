#include "kvtransfer/tensor/canonical.hpp"

#include <ATen/ops/equal.h>

#include <vector>

#include "rope/random_keys.hpp"
#include "support/test.hpp"

using namespace kvtransfer;
using namespace kvtransfer::test;

TEST_CASE("what strides describe is read where it lies", "[tensor][canonical]") {
  const at::Tensor keys = random_keys({2, 3, 5, 8});
  CHECK(layouts::canonical({keys, std::nullopt}).data_ptr() == keys.data_ptr());
}

TEST_CASE("what a table describes is gathered, with zeros for what it does not store", "[tensor][canonical]") {
  const at::Tensor rows = random_keys({3, 2, 4, 8});
  const at::Tensor read = layouts::canonical({rows, layouts::slot_table(2, 3, {{0, 0, 2, 1, 3}, {1, 1, 0, 0, 2}})});
  CHECK(at::equal(read[0], rows[2].slice(1, 1, 4)));
  CHECK(at::equal(read[1].slice(1, 1), rows[0].slice(1, 0, 2)));
  CHECK(read[1].select(1, 0).abs().max().item<float>() == 0);
}

TEST_CASE("a gradient passes through a gathered read", "[tensor][canonical]") {
  const at::Tensor rows = random_keys({3, 2, 4, 8}).requires_grad_();
  const at::Tensor weight = random_keys({1, 2, 2, 8});
  (layouts::canonical({rows, layouts::slot_table(1, 2, {{0, 0, 1, 1, 2}})}) * weight).sum().backward();
  CHECK(at::equal(rows.grad()[1].slice(1, 1, 3), weight[0]));
  CHECK(rows.grad().abs().sum().item<float>() == Approx(weight.abs().sum().item<float>()));
}

TEST_CASE("layers that are not alike are copied each by its own table", "[tensor][canonical]") {
  const std::vector<at::Tensor> from = {random_keys({1, 2, 4, 8}), random_keys({1, 2, 3, 8}),
                                        random_keys({2, 2, 3, 8})};
  const std::vector<at::Tensor> to = {random_keys({1, 2, 4, 8}), random_keys({3, 2, 3, 8}), random_keys({2, 2, 3, 8})};
  layouts::copy_storage_(
      {{to[0], std::nullopt}, {to[1], layouts::slot_table(1, 3, {{0, 0, 2, 0, 3}})}, {to[2], std::nullopt}},
      {{from[0], std::nullopt}, {from[1], std::nullopt}, {from[2], std::nullopt}});
  CHECK(at::equal(to[0], from[0]));
  CHECK(at::equal(to[1][2], from[1][0]));
  CHECK(at::equal(to[2], from[2]));
  CHECK_THROWS_AS(layouts::copy_storage_({}, {{from[0], std::nullopt}}), shape_error);
}
