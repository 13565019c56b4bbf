#include "kvtransfer/cache/layer_view.hpp"

#include <ATen/ops/empty.h>

#include <memory>

#include "rope/random_keys.hpp"
#include "support/message.hpp"
#include "support/test.hpp"

using namespace kvtransfer;
using namespace kvtransfer::test;

namespace {

std::shared_ptr<const layer_frame> shared_frame(position_map positions) {
  return std::make_shared<const layer_frame>(layer_frame{std::move(positions), {plain_specification(8)}});
}

/// A view of `keys` and `values` in a frame of five tokens and two rows.
layer_view<> five_tokens(const at::Tensor& keys, const at::Tensor& values) {
  return layer_view<>(keys, values, shared_frame(position_map::consecutive(0, 5, 2)));
}

}  // namespace

TEST_CASE("a layer view shows tensors where they lie", "[cache][layer_view]") {
  const at::Tensor keys = random_keys({2, 3, 5, 8});
  const at::Tensor values = random_keys({2, 3, 5, 8});
  const layer_view<> view = five_tokens(keys, values);
  CHECK(view.extents() == cache_extents{2, 3, 5, 8});
  CHECK(view.size() == 5);
  CHECK(view.keys().data_ptr() == keys.data_ptr());
  CHECK(view.values().data_ptr() == values.data_ptr());
}

TEST_CASE("another layout is read without a copy", "[cache][layer_view]") {
  const at::Tensor keys = random_keys({2, 5, 3, 8});
  const layer_view<layouts::batch_seq_heads_dim> view(keys, keys, shared_frame(position_map::consecutive(0, 5, 2)));
  CHECK(view.extents() == cache_extents{2, 3, 5, 8});
  view.keys()[1][2][4][7].fill_(42);
  CHECK(keys[1][4][2][7].item<float>() == 42);
}

TEST_CASE("values may have another head_dim than keys, and nothing else", "[cache][layer_view]") {
  const at::Tensor keys = random_keys({2, 3, 5, 8});
  CHECK(five_tokens(keys, random_keys({2, 3, 5, 4})).values().size(3) == 4);
  CHECK_THROWS_AS(five_tokens(keys, random_keys({2, 2, 5, 8})), shape_error);
  CHECK_THROWS_AS(five_tokens(keys, random_keys({2, 3, 6, 8})), shape_error);
}

TEST_CASE("a frame of another size is refused", "[cache][layer_view]") {
  const at::Tensor keys = random_keys({2, 3, 5, 8});
  CHECK_THROWS_AS(layer_view<>(keys, keys, shared_frame(position_map::consecutive(0, 4, 2))), shape_error);
  CHECK_THROWS_AS(layer_view<>(keys, keys, shared_frame(position_map::consecutive(0, 5, 1))), shape_error);
  CHECK_THROWS_AS(layer_view<>(keys, keys, shared_frame(position_map::consecutive(0, 5, 2).with_heads(2))),
                  shape_error);
  CHECK_NOTHROW(layer_view<>(keys, keys, shared_frame(position_map::consecutive(0, 5, 2).with_heads(3))));
}

TEST_CASE("a frame that names a missing specification is refused", "[cache][layer_view]") {
  const at::Tensor keys = random_keys({1, 3, 5, 8});
  const position_map third_specification(position_row::consecutive(0, 5, slot_state::rotated(2)));
  CHECK_THROWS_AS(layer_view<>(keys, keys, shared_frame(third_specification)), shape_error);
}

TEST_CASE("tensors that are no keys are refused by name", "[cache][layer_view]") {
  const at::Tensor keys = random_keys({2, 3, 5, 8});
  CHECK_THROWS_AS(five_tokens(at::Tensor(), keys), shape_error);
  CHECK_THROWS_AS(five_tokens(keys[0], keys), shape_error);
  CHECK_THAT(message_of<shape_error>([&] { five_tokens(keys, keys.to(at::kLong)); }),
             StartsWith("layer_view: values: expected [batch, kv_heads, seq, head_dim], floating, got [2, 3, 5, 8]"));
  CHECK_THROWS_AS(
      layer_view<layouts::batch_seq_heads_dim>(keys[0], keys[0], shared_frame(position_map::consecutive(0, 5))),
      shape_error);
}

TEST_CASE("keys and values on different devices are refused", "[cache][layer_view]") {
  const at::Tensor keys = random_keys({2, 3, 5, 8});
  CHECK_THROWS_AS(five_tokens(keys, at::empty({2, 3, 5, 8}, at::TensorOptions().device(at::kMeta))), device_error);
}
