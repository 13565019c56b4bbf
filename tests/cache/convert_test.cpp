#include "kvtransfer/cache/convert.hpp"

#include <ATen/ops/zeros.h>

#include <vector>

#include "cache/layout_cases.hpp"
#include "support/message.hpp"
#include "support/test.hpp"

using namespace kvtransfer;
using namespace kvtransfer::test;

namespace {

/// Every layout read as the reference, and the reference written as every layout, by the implementation given.
void check_conversions(at::Device device, implementation use) {
  for_each_case(device, [&](const cache_view<>& reference, const auto& view) {
    require_same(view, reference);
    require_same(convert(view, layouts::batch_heads_seq_dim{}, use), reference);
    require_same(convert(reference, view.layout(), use), reference);
  });
}

/// From each layout with heads to each other one.
void check_pairs(at::Device device) {
  const reference_cache reference = reference_in(at::kBFloat16, padding_side::left, device);
  for_each_layout(reference, [&](const auto& from) {
    for_each_layout(reference, [&](const auto& to) { require_same(convert(from, to.layout()), reference.view()); });
  });
}

}  // namespace

TEST_CASE("a cache in any layout reads as the same cache, and converts to any other", "[cache][convert]") {
  check_conversions(at::kCPU, implementation::automatic);
  check_conversions(at::kCPU, implementation::reference);
  check_pairs(at::kCPU);
}

TEST_CASE("a cache in any layout converts to any other on a GPU", "[cache][convert][cuda]") {
  if (cuda_available()) {
    check_conversions(at::kCUDA, implementation::automatic);
    check_conversions(at::kCUDA, implementation::reference);
    check_pairs(at::kCUDA);
  }
}

TEST_CASE("a conversion into tensors of somebody else's writes the slots meant and nothing besides",
          "[cache][convert]") {
  const reference_cache reference = reference_in(at::kFloat, padding_side::left);
  const layouts::paged_nhd layout{
      layouts::block_slots(reference.frame.layer(0).positions, scattered_blocks(), reference_block_size)};
  const std::vector<at::Tensor> keys = {random_keys({12, 4, 2, 8}), random_keys({12, 4, 2, 8})};
  const std::vector<at::Tensor> values = {random_keys({12, 4, 2, 8}), random_keys({12, 4, 2, 8})};
  const at::Tensor before = keys[1].clone();
  const cache_view<layouts::paged_nhd> written = convert_into(reference.view(), keys, values, layout);
  require_same(written, reference.view());
  CHECK(written.layer(0).stored_keys().data_ptr() == keys[0].data_ptr());
  at::Tensor expected = before.clone();
  store_in_blocks(reference.keys[1], reference.frame, expected, slot_of_nhd);
  CHECK(at::equal(keys[1], expected));
  CHECK_FALSE(at::equal(keys[1], before));
}

TEST_CASE("a conversion is refused where one number would be written over another, or over the source's",
          "[cache][convert]") {
  const reference_cache reference = reference_in(at::kFloat, padding_side::none);
  const cache_view<> source = reference.view();
  const layouts::batch_seq_heads_dim layout;
  const auto space = [&] {
    std::vector<at::Tensor> tensors;
    for (const at::Tensor& layer : reference.keys) {
      tensors.push_back(at::zeros({layer.size(0), layer.size(2), layer.size(1), layer.size(3)}, layer.options()));
    }
    return tensors;
  };
  const std::vector<at::Tensor> keys = space();
  const std::vector<at::Tensor> values = space();
  const auto refusal = [&](const std::vector<at::Tensor>& to_keys, const std::vector<at::Tensor>& to_values) {
    return message_of<shape_error>([&] { (void)convert_into(source, to_keys, to_values, layout); });
  };
  CHECK_THAT(refusal(keys, keys), contains("memory of its own for every layer's keys and values"));
  CHECK_THAT(refusal(std::vector<at::Tensor>(keys.size(), keys[0]), values), contains("got two that overlap"));
  std::vector<at::Tensor> expanded = keys;
  expanded[0] = expanded[0].narrow(1, 0, 1).expand_as(expanded[0]);
  CHECK_THAT(refusal(expanded, values), contains("strides that reach each element once"));
  std::vector<at::Tensor> own;
  for (const at::Tensor& layer : reference.keys) {
    own.push_back(layer.view({layer.size(0), layer.size(2), layer.size(1), layer.size(3)}));
  }
  CHECK_THAT(refusal(own, values), contains("memory apart from the source's"));
  CHECK(at::equal(reference.keys[0], source.layer(0).keys()));
  CHECK(keys[0].abs().sum().item<double>() == 0);
  CHECK(refusal(keys, values).empty());
}

TEST_CASE("a conversion that would lose a key is refused", "[cache][convert]") {
  const reference_cache reference = reference_in(at::kFloat, padding_side::none);
  const layouts::ragged shorter{
      layouts::cumulative_slots(reference_in(at::kFloat, padding_side::left).frame.layer(0).positions)};
  CHECK_THAT(message_of<frame_error>([&] { convert(reference.view(), shorter); }),
             StartsWith("layer_view: positions: expected padding where the layout stores nothing"));
}

TEST_CASE("layers of different lengths convert", "[cache][convert]") {
  const auto frame_of = [](std::int64_t count) {
    return std::make_shared<const layer_frame>(
        layer_frame{position_map::consecutive(0, count), {plain_specification(8)}});
  };
  const std::vector<at::Tensor> tensors = {random_keys({1, 2, 5, 8}), random_keys({1, 2, 3, 8})};
  const cache_view<> source(tensors, tensors, cache_frame({frame_of(5), frame_of(3)}));
  require_same(convert(source, layouts::batch_seq_heads_dim{}), source);
}

TEST_CASE("a gradient passes through a conversion", "[cache][convert]") {
  const reference_cache reference = reference_in(at::kFloat, padding_side::right);
  std::vector<at::Tensor> keys;
  for (const at::Tensor& layer : reference.keys) {
    keys.push_back(layer.clone().requires_grad_());
  }
  const cache_view<> tracked(keys, reference.values, reference.frame);
  for_each_layout(reference, [&](const auto& view) {
    const at::Tensor weight = random_keys({reference_batch, 2, reference_seq, 8}) *
                              validity_tensor(reference.frame.layer(0).positions).unsqueeze(-1);
    const at::Tensor back = convert(tracked, view.layout()).layer(1).keys();
    keys[1].mutable_grad().reset();
    (back * weight).sum().backward();
    REQUIRE(at::equal(keys[1].grad(), weight));
  });
}
