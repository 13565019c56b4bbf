#include "kvtransfer/tensor/position_tensor.hpp"

#include <ATen/ops/equal.h>

#include <vector>

#include "support/test.hpp"

using namespace kvtransfer;
using namespace kvtransfer::test;

namespace {

/// Two streams, two rows, two heads; padding in the second row.
position_map two_of_everything() {
  std::vector<position_row> rows;
  for (std::int64_t i = 0; i < 8; ++i) {
    position_row row = position_row::listed({10 * i, 10 * i, 10 * i + 1});
    if (i / 2 % 2 == 1) {
      row = position_row::consecutive(0, 1, slot_state::padding());
      row.append(position_row::consecutive(10 * i, 2));
    }
    rows.push_back(std::move(row));
  }
  return position_map(2, 2, 2, std::move(rows));
}

}  // namespace

TEST_CASE("positions lie in the order of their axes, and padding reads 0", "[tensor][position_tensor]") {
  const position_map map = two_of_everything();
  const at::Tensor tensor = position_tensor(map);
  REQUIRE(tensor.sizes() == at::IntArrayRef({2, 2, 2, 3}));
  REQUIRE(tensor.scalar_type() == at::kLong);
  for (std::int64_t stream = 0; stream < 2; ++stream) {
    for (std::int64_t batch = 0; batch < 2; ++batch) {
      for (std::int64_t head = 0; head < 2; ++head) {
        const std::vector<std::int64_t> row = map.row(stream, batch, head).positions();
        for (std::int64_t slot = 0; slot < 3; ++slot) {
          CHECK(tensor[stream][batch][head][slot].item<std::int64_t>() == row[static_cast<std::size_t>(slot)]);
        }
      }
    }
  }
  CHECK(tensor[1][1][0][0].item<std::int64_t>() == 0);
}

TEST_CASE("padding is invisible, rotated and unrotated keys are not", "[tensor][position_tensor]") {
  const at::Tensor visible = validity_tensor(two_of_everything());
  REQUIRE(visible.sizes() == at::IntArrayRef({2, 2, 3}));
  REQUIRE(visible.scalar_type() == at::kBool);
  CHECK(visible[0].all().item<bool>());
  CHECK_FALSE(visible[1][1][0].item<bool>());
  CHECK(visible[1].slice(1, 1).all().item<bool>());
  CHECK(validity_tensor(position_map(position_row::consecutive(0, 3, slot_state::unrotated()))).all().item<bool>());
}

TEST_CASE("shared heads take one entry", "[tensor][position_tensor]") {
  const position_map map = position_map::consecutive(5, 4, 3);
  CHECK(position_tensor(map).sizes() == at::IntArrayRef({1, 3, 1, 4}));
  CHECK(validity_tensor(map).sizes() == at::IntArrayRef({3, 1, 4}));
}

TEST_CASE("maps without slots or without rows give tensors without elements", "[tensor][position_tensor]") {
  CHECK(position_tensor(position_map::consecutive(5, 0, 3)).sizes() == at::IntArrayRef({1, 3, 1, 0}));
  CHECK(position_tensor(position_map()).numel() == 0);
  CHECK(validity_tensor(position_map()).numel() == 0);
}

TEST_CASE("positions reach the GPU unchanged", "[tensor][position_tensor][cuda]") {
  if (!cuda_available()) {
    return;
  }
  const position_map map = two_of_everything();
  CHECK(position_tensor(map, at::kCUDA).is_cuda());
  CHECK(at::equal(position_tensor(map, at::kCUDA).cpu(), position_tensor(map)));
  CHECK(at::equal(validity_tensor(map, at::kCUDA).cpu(), validity_tensor(map)));
}
