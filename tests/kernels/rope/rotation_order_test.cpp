#include "kernels/rope/rotation_order.hpp"

#include <cstdint>
#include <map>
#include <tuple>

#include "support/test.hpp"

namespace kvtransfer::test::kernels {
namespace {

using rope::kernels::order_of;
using rope::kernels::rotation_arguments;
using rope::kernels::rotation_order;

rotation_arguments arguments_of(std::int64_t batch, std::int64_t kv_heads, std::int64_t seq) {
  rotation_arguments arguments;
  arguments.batch = batch;
  arguments.kv_heads = kv_heads;
  arguments.seq = seq;
  arguments.pairs = 64;
  return arguments;
}

/// How often the units of an order reach each block of each row, by (layer, batch, head, block).
std::map<std::tuple<std::int64_t, std::int64_t, std::int64_t, std::int64_t>, int> visits(const rotation_order& order) {
  std::map<std::tuple<std::int64_t, std::int64_t, std::int64_t, std::int64_t>, int> counts;
  for (std::int64_t unit = 0; unit < order.units; ++unit) {
    const std::int64_t block = unit / order.units_per_block % order.blocks;
    const std::int64_t group = unit / order.units_per_block / order.blocks;
    const std::int64_t first = unit % order.units_per_block * rope::kernels::rows_per_unit;
    for (std::int64_t row = first; row < std::min(first + rope::kernels::rows_per_unit, order.rows); ++row) {
      const auto place = rope::kernels::row_at(order, group, row);
      ++counts[{place.layer, place.batch, place.head, block}];
    }
  }
  return counts;
}

}  // namespace

TEST_CASE("units reach every block of every row once, whichever axes share their positions",
          "[rope][kernels][rotation_order]") {
  for (const bool batches_differ : {false, true}) {
    for (const bool heads_differ : {false, true}) {
      rotation_arguments arguments = arguments_of(3, 5, 300);
      arguments.target.batch_stride = batches_differ ? 300 : 0;
      arguments.stored.head_stride = heads_differ ? 300 : 0;
      const rotation_order order = order_of(arguments, 7);
      const auto counts = visits(order);
      CHECK(counts.size() == static_cast<std::size_t>(7 * 3 * 5 * order.blocks));
      CHECK(std::ranges::all_of(counts, [](const auto& count) { return count.second == 1; }));
    }
  }
}

TEST_CASE("angles are worked out once for all rows that share positions", "[rope][kernels][rotation_order]") {
  const rotation_arguments shared = arguments_of(2, 4, 1000);
  CHECK(order_of(shared, 6).units_per_block == 6 * 2 * 4 / 4);
  rotation_arguments by_row = shared;
  by_row.stored.batch_stride = 1000;
  CHECK(order_of(by_row, 6).outer_batch == 2);
  CHECK(order_of(by_row, 6).units_per_block == 6 * 4 / 4);
}

TEST_CASE("a block's table fits its room, however wide the heads", "[rope][kernels][rotation_order]") {
  for (const std::int64_t pairs : {1, 20, 64, 256}) {
    rotation_arguments arguments = arguments_of(1, 1, 4096);
    arguments.pairs = static_cast<std::int32_t>(pairs);
    const rotation_order order = order_of(arguments, 1);
    CHECK(order.tokens_per_block * rope::kernels::padded_pairs(pairs) <= rope::kernels::table_floats);
    CHECK(order.tokens_per_block >= 32);
  }
}

}  // namespace kvtransfer::test::kernels
