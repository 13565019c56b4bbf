#include "kvtransfer/rope/detail/reference_rotation.hpp"

#include <ATen/ops/equal.h>
#include <ATen/ops/ones_like.h>

#include "rope/random_keys.hpp"
#include "support/test.hpp"

namespace kvtransfer::test {

TEST_CASE("an exact table is a rotation times the gain", "[rope][reference_rotation]") {
  rope::rotation rotation{.to = random_positions({1, 1, 1, 6}), .to_specification = plain_specification(8)};
  rotation.to_specification.attention_scaling = 1.5;
  const rope::cos_sin table = rope::detail::rotation_table(rotation, at::kDouble, at::kCPU, rope::angle_mode::exact);
  const at::Tensor square = table.cos * table.cos + table.sin * table.sin;
  CHECK(relative_error(square, at::ones_like(square) * 2.25) < 1e-15);
}

TEST_CASE("a model-faithful table undoes the model's rounded table, not the ideal one", "[rope][reference_rotation]") {
  rope::rotation rotation{.from = random_positions({1, 1, 1, 6}), .from_specification = plain_specification(8)};
  const rope::cos_sin back =
      rope::detail::rotation_table(rotation, at::kDouble, at::kCPU, rope::angle_mode::model_faithful);
  const rope::cos_sin there = rope::cos_sin_table(rotation.from_specification, rotation.from, at::kDouble);
  const at::Tensor real = there.cos * back.cos - there.sin * back.sin;
  CHECK(relative_error(real, at::ones_like(real)) < 1e-15);
}

TEST_CASE("tables are as wide as the arithmetic on the keys", "[rope][reference_rotation]") {
  const rope::rotation rotation{.delta = 3, .to_specification = plain_specification(8)};
  const auto width = [&](at::ScalarType keys) {
    return rope::detail::rotation_table(rotation, keys, at::kCPU, rope::angle_mode::exact).cos.scalar_type();
  };
  CHECK(width(at::kBFloat16) == at::kFloat);
  CHECK(width(at::kFloat) == at::kFloat);
  CHECK(width(at::kDouble) == at::kDouble);
}

}  // namespace kvtransfer::test
