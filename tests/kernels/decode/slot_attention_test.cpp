// What a decode step keeps and attends with, by the kernels against products in double.

#include "model/slot_attention.hpp"

#include <ATen/TensorOperators.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/full.h>
#include <ATen/ops/rand.h>
#include <ATen/ops/randint.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/randperm.h>
#include <ATen/ops/where.h>
#include <ATen/ops/zeros.h>

#include <cstdint>
#include <optional>
#include <vector>

#include "kvtransfer/model/config.hpp"
#include "model/step_kernels.hpp"
#include "support/tensors.hpp"
#include "support/test.hpp"

using namespace kvtransfer;
using namespace kvtransfer::test;

namespace {

struct attention_case {
  std::int64_t groups;
  std::int64_t members;
  std::int64_t kv_heads;
  std::int64_t shared;
  std::int64_t head_dim;
  std::int64_t prefix;
  std::int64_t tail;
  bool heads_differ = false;
  std::optional<std::int64_t> window = {};
  std::optional<double> softcap = {};
};

const std::vector<attention_case> attention_cases{
    {1, 1, 1, 1, 8, 0, 1},
    {2, 3, 2, 2, 16, 5, 4},
    {3, 2, 4, 8, 64, 130, 40},
    {1, 4, 1, 3, 24, 300, 9, false, 7},
    {2, 2, 3, 3, 64, 40, 33, true, 20},
    {1, 2, 2, 5, 128, 1100, 70, true, {}, 30.0},
    {2, 1, 1, 4, 256, 513, 3, false, 400},
    {1, 1, 8, 1, 64, 5000, 50},
};

/// A batch in the middle of its run: random caches, hidden slots, tails of every length.
struct world {
  model_config config;
  detail::layer_buffers buffers;
  detail::prefix_slots slots;
  detail::step_rows rows;
  at::Tensor state;
  at::Tensor q, k, v;
  rope::cos_sin table;
};

world make_world(const attention_case& c, bool all) {
  world w;
  w.config.q_heads = c.kv_heads * c.shared;
  w.config.kv_heads = c.kv_heads;
  w.config.head_dim = c.head_dim;
  w.config.attention = {{.scale = 0.3, .softcap = c.softcap, .window = c.window}};
  const std::int64_t sequences = c.groups * c.members;
  const auto random = [](const std::vector<std::int64_t>& shape) { return at::randn(shape); };
  w.buffers = {
      random({c.groups, c.kv_heads, c.prefix, c.head_dim}), random({c.groups, c.kv_heads, c.prefix, c.head_dim}),
      random({sequences, c.kv_heads, c.tail, c.head_dim}), random({sequences, c.kv_heads, c.tail, c.head_dim})};
  const std::int64_t heads = c.heads_differ ? c.kv_heads : 1;
  w.slots.used = at::randint(c.prefix / 2, c.prefix + 1, {c.groups}, at::kLong);
  const at::Tensor used = at::arange(c.prefix).lt(w.slots.used.view({-1, 1, 1}));
  const at::Tensor seen = at::rand({c.groups, heads, c.prefix}).lt(0.8).logical_and(used);
  w.slots.ordinals = at::where(seen, seen.cumsum(2), at::full({}, detail::nobodys, at::kLong)).contiguous();
  w.slots.counts = seen.sum(2).contiguous();
  w.state = at::randint(0, c.tail, {sequences, 3}, at::kLong);
  w.rows.lengths = w.state.select(1, 1);
  w.rows.all = all;
  w.rows.sequences =
      all ? at::arange(sequences) : at::randperm(sequences, at::kLong).slice(0, 0, (sequences + 1) / 2).contiguous();
  w.rows.prefix = c.prefix;
  w.rows.tail = c.tail;
  const std::int64_t rows = w.rows.sequences.size(0);
  w.rows.table_rows = at::randint(0, 50, {rows}, at::kLong);
  w.table = {at::randn({1, 1, 50, c.head_dim / 4}), at::randn({1, 1, 50, c.head_dim / 4})};
  const at::Tensor all_heads = at::randn({rows, c.kv_heads * (c.shared + 2), c.head_dim});  // strides as of one product
  w.q = all_heads.slice(1, 0, w.config.q_heads);
  w.k = all_heads.slice(1, w.config.q_heads, w.config.q_heads + c.kv_heads);
  w.v = all_heads.slice(1, w.config.q_heads + c.kv_heads);
  return w;
}

world converted(const world& from, at::Device device, at::ScalarType dtype) {
  world w = from;
  const auto floating = [&](at::Tensor& x) { x = x.to(device, dtype, false, true); };
  for (at::Tensor* const x : {&w.buffers.prefix_keys, &w.buffers.prefix_values, &w.buffers.tail_keys,
                              &w.buffers.tail_values, &w.table.cos, &w.table.sin}) {
    floating(*x);
  }
  at::Tensor heads = at::cat({from.q, from.k, from.v}, 1).to(device, dtype);
  w.q = heads.slice(1, 0, from.q.size(1));
  w.k = heads.slice(1, from.q.size(1), from.q.size(1) + from.k.size(1));
  w.v = heads.slice(1, from.q.size(1) + from.k.size(1));
  w.state = from.state.to(device);
  w.rows.lengths = w.state.select(1, 1);
  for (at::Tensor* const x :
       {&w.slots.used, &w.slots.ordinals, &w.slots.counts, &w.rows.sequences, &w.rows.table_rows}) {
    *x = x->to(device);
  }
  return w;
}

/// One step's keeping and attending. @return the context
at::Tensor step(world& w, rope::pairing pairing, std::int64_t window_offset) {
  const rotary_specification rotary{
      .inv_freq = std::vector<float>(static_cast<std::size_t>(w.config.head_dim / 4), 1.0F),
      .pairing = pairing,
      .window_offset = window_offset};
  detail::slot_attention attention(w.config, w.rows);
  const at::Tensor q = attention.keep(w.buffers, w.q, w.k, w.v, w.table, rotary);
  return attention.attend(0, w.buffers, w.slots, q);
}

void check_steps(at::Device device, at::ScalarType dtype) {
  at::manual_seed(11);
  const double allowed = dtype == at::kFloat ? 2e-5 : dtype == at::kHalf ? 1e-2 : 6e-2;
  for (const attention_case& c : attention_cases) {
    for (const bool all : {true, false}) {
      for (const rope::pairing pairing : {rope::pairing::half_split, rope::pairing::interleaved}) {
        CAPTURE(c.kv_heads, c.shared, c.head_dim, c.prefix, c.tail, all, to_string(pairing));
        // In the dtype first, so that both sides begin with the same numbers.
        const world given = converted(make_world(c, all), at::kCPU, dtype);
        world exact = converted(given, at::kCPU, at::kDouble);
        world fused = converted(given, device, dtype);
        REQUIRE(detail::slot_type(fused.config, dtype, device) == dtype);
        const std::int64_t offset = c.head_dim / 4;
        const at::Tensor wanted = step(exact, pairing, offset);
        const at::Tensor got = step(fused, pairing, offset);
        CHECK(max_difference(got, wanted) < allowed);
        CHECK(max_difference(fused.buffers.tail_keys, exact.buffers.tail_keys) < allowed);
        CHECK(max_difference(fused.buffers.tail_values, exact.buffers.tail_values) == 0);
      }
    }
  }
}

}  // namespace

TEST_CASE("kernels keep and attend as products in double do", "[kernels][decode]") {
  check_steps(at::kCPU, at::kFloat);
  check_steps(at::kCPU, at::kBFloat16);
}

TEST_CASE("kernels keep and attend as products in double do, on a GPU", "[kernels][decode][cuda]") {
  if (cuda_available()) {
    const detail::gpu_kernels_wanted kernels(true);
    for (const at::ScalarType dtype : {at::kFloat, at::kBFloat16, at::kHalf}) {
      CAPTURE(at::toString(dtype));
      check_steps(at::kCUDA, dtype);
    }
  }
}
