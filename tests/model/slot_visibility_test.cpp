#include "model/slot_visibility.hpp"

#include <ATen/ops/equal.h>

#include "kvtransfer/inject/prepend.hpp"
#include "kvtransfer/model/generate.hpp"
#include "support/small_model.hpp"
#include "support/test.hpp"

using namespace kvtransfer;
using kvtransfer::detail::slot_visibility;
using namespace kvtransfer::test;

TEST_CASE("a text alone needs no mask: plain causal attention does", "[model][slot_visibility]") {
  slot_visibility visibility({}, {}, 1, at::kCPU);
  visibility.append(position_map::consecutive(0, 5));
  CHECK(visibility.seen_by(5, 4).causal);
  CHECK_FALSE(visibility.seen_by(5, 4).mask.has_value());
}

TEST_CASE("one token after anything visible needs no mask", "[model][slot_visibility]") {
  slot_visibility visibility({}, {}, 1, at::kCPU);
  visibility.append(position_map::consecutive(0, 5));
  visibility.append(position_map::consecutive(5, 1));
  CHECK_FALSE(visibility.seen_by(1, 4).causal);
  CHECK_FALSE(visibility.seen_by(1, 4).mask.has_value());
}

TEST_CASE("several tokens behind a cache need a mask aligned at the end", "[model][slot_visibility]") {
  slot_visibility visibility({}, {}, 1, at::kCPU);
  visibility.append(position_map::consecutive(0, 3));
  visibility.append(position_map::consecutive(3, 2));
  CHECK_FALSE(visibility.seen_by(2, 4).causal);
  const at::Tensor mask = visibility.seen_by(2, 4).mask.value();
  CHECK(mask.sizes() == at::IntArrayRef({1, 1, 2, 5}));
  CHECK_FALSE(mask[0][0][0][4].item<bool>());
  CHECK(mask.sum().item<std::int64_t>() == 4 + 5);
}

TEST_CASE("padding that comes late hides nothing that came before", "[model][slot_visibility]") {
  slot_visibility visibility({}, {}, 2, at::kCPU);
  visibility.append(position_map::consecutive(0, 3, 2));
  position_row padded;
  padded.append({0, 1, 0, slot_state::padding()});
  visibility.append(position_map(1, 2, 1, {padded, position_row::consecutive(3, 1)}));
  visibility.append(position_map::consecutive(4, 1, 2));
  const at::Tensor mask = visibility.seen_by(1, 4).mask.value();
  CHECK(mask.sizes() == at::IntArrayRef({2, 1, 1, 5}));
  CHECK(mask[0].sum().item<std::int64_t>() == 4);
  CHECK(mask[1].sum().item<std::int64_t>() == 5);
}
