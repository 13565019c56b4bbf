#pragma once

#include <c10/macros/Macros.h>

#include <cstdint>

#include "kernels/rope/rotation_arguments.hpp"

// How the CPU's work is cut into units and in which order they are numbered. Every function is forced inline, because
// files of several instruction sets include this one.

namespace kvtransfer::rope::kernels {

/// Vectors of pairs are whole in tables of this many floats a row.
C10_ALWAYS_INLINE std::int64_t padded_pairs(std::int64_t pairs) { return (pairs + 15) / 16 * 16; }

/// Floats in a table of cosines, 32 KB: with the sines it fits a core's own cache beside the keys that pass through.
inline constexpr std::int64_t table_floats = 8192;

/// Rows (heads of layers) that are rotated together, token by token. Four streams keep memory busy, and share what is
/// read of the table; more would compete for the same sets of the cache.
inline constexpr std::int64_t rows_per_unit = 4;

/// A unit is a block of tokens of up to four rows that share their positions.
///
/// Units are numbered by position group (the axes along which positions differ), then block, then rows: a thread that
/// takes neighbouring units works out the angles of a block once and uses them for every head and layer. The extents of
/// the batch and head axes lie either outside, in the group, or inside, among its rows.
struct rotation_order {
  std::int64_t outer_batch = 1;
  std::int64_t outer_heads = 1;
  std::int64_t inner_batch = 1;
  std::int64_t inner_heads = 1;
  std::int64_t rows = 0;  ///< in a group: layers * inner_batch * inner_heads
  std::int64_t tokens_per_block = 0;
  std::int64_t blocks = 0;
  std::int64_t units_per_block = 0;
  std::int64_t units = 0;
};

/// Where a row lies.
struct rotate_row {
  std::int64_t layer;
  std::int64_t batch;
  std::int64_t head;
};

C10_ALWAYS_INLINE rotation_order order_of(const rotation_arguments& arguments, std::int64_t layers) {
  rotation_order order;
  const bool batches_differ = (arguments.stored.batch_stride | arguments.target.batch_stride) != 0;
  const bool heads_differ = (arguments.stored.head_stride | arguments.target.head_stride) != 0;
  (batches_differ ? order.outer_batch : order.inner_batch) = arguments.batch;
  (heads_differ ? order.outer_heads : order.inner_heads) = arguments.kv_heads;
  order.rows = layers * order.inner_batch * order.inner_heads;
  order.units_per_block = (order.rows + rows_per_unit - 1) / rows_per_unit;
  const std::int64_t fitting = table_floats / padded_pairs(arguments.pairs);
  order.tokens_per_block = fitting < 128 ? fitting : 128;
  order.blocks = (arguments.seq + order.tokens_per_block - 1) / order.tokens_per_block;
  order.units = order.outer_batch * order.outer_heads * order.blocks * order.units_per_block;
  return order;
}

/// Row `index` of position group `group`.
C10_ALWAYS_INLINE rotate_row row_at(const rotation_order& order, std::int64_t group, std::int64_t index) {
  const std::int64_t head = index % order.inner_heads;
  const std::int64_t batch = index / order.inner_heads % order.inner_batch;
  return {index / (order.inner_heads * order.inner_batch), group / order.outer_heads + batch,
          group % order.outer_heads + head};
}

}  // namespace kvtransfer::rope::kernels
