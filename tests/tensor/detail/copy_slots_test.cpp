#include "kvtransfer/tensor/detail/copy_slots.hpp"

#include <ATen/ops/equal.h>
#include <ATen/ops/randperm.h>
#include <ATen/ops/zeros_like.h>

#include <utility>
#include <vector>

#include "rope/random_keys.hpp"
#include "support/test.hpp"

using namespace kvtransfer;
using namespace kvtransfer::detail;
using namespace kvtransfer::test;

namespace {

/// A storage `[rows, kv_heads, slots, head_dim]` with tokens side by side, or heads, or the elements of a head over all
/// tokens, or with gaps everywhere.
at::Tensor random_storage(std::int64_t rows, std::int64_t slots, std::int64_t head_dim, int kind, at::ScalarType dtype,
                          at::Device device) {
  if (kind == 0) {
    return random_keys({rows, 3, slots, head_dim}, dtype).to(device);
  }
  if (kind == 1) {
    return random_keys({rows, slots, 3, head_dim}, dtype).to(device).transpose(1, 2);
  }
  if (kind == 2) {
    return random_keys({rows, 3, head_dim, slots}, dtype).to(device).transpose(2, 3);
  }
  return random_keys({rows, 2 * slots, 3, head_dim + 1}, dtype)
      .to(device)
      .slice(1, 1, 2 * slots, 2)
      .narrow(3, 1, head_dim)
      .transpose(1, 2);
}

/// Copies one way and the other, by a kernel where there is one, and slot by slot: storages hold the same afterwards.
void check_copies(at::Device device, implementation use) {
  const slot_runs runs{false, {{5, 0, 1}, {0, 4, 4}, {17, -1, 1}, {8, -1, 2}, {16, 3, 0}, {10, 2, 2}, {20, 11, 1}}};
  for (const at::ScalarType dtype : {at::kFloat, at::kBFloat16, at::kDouble, at::kByte}) {
    for (const std::int64_t head_dim : {1, 3, 8, 64}) {
      for (int kind = 0; kind < 16; ++kind) {
        const at::Tensor from = random_storage(3, 4, head_dim, kind / 4, dtype, device);
        const at::Tensor to = random_storage(4, 6, head_dim, kind % 4, dtype, device);
        const at::Tensor expected = to.clone();
        for (const slot_run& run : runs.runs) {
          for (std::int64_t i = 0; i < run.count; ++i) {
            const at::Tensor place = expected[(run.to + i) / 6].select(1, (run.to + i) % 6);
            if (run.from < 0) {
              place.zero_();
            } else {
              place.copy_(from[(run.from + i) / 4].select(1, (run.from + i) % 4));
            }
          }
        }
        copy_slots_({to}, {from}, runs, use);
        REQUIRE(at::equal(to, expected));
      }
    }
  }
}

/// Many slots, so that several threads and blocks share the work; several layers of different strides.
void check_long_copies(at::Device device) {
  const std::int64_t tokens = 5000;
  const at::Tensor order = at::randperm(tokens, at::TensorOptions().dtype(at::kLong));
  slot_runs runs{false, {}};
  for (std::int64_t token = 0; token < tokens; ++token) {
    runs.runs.push_back({token, order[token].item<std::int64_t>(), 1});
  }
  std::vector<at::Tensor> from;
  std::vector<at::Tensor> to;
  std::vector<at::Tensor> expected;
  for (int layer = 0; layer < 9; ++layer) {
    from.push_back(random_storage(tokens / 8, 8, 16, layer % 4, at::kBFloat16, device));
    to.push_back(random_storage(1, tokens, 16, layer / 3, at::kBFloat16, device));
    expected.push_back(from.back().transpose(1, 2).reshape({tokens, 3, 16}).index_select(0, order.to(device)));
  }
  copy_slots_(to, from, runs);
  for (std::size_t layer = 0; layer < to.size(); ++layer) {
    REQUIRE(at::equal(to[layer][0].transpose(0, 1), expected[layer]));
  }
}

/// Lists as caches of blocks give them: slots in order on one side, blocks of any order on the other, some of them
/// shorter, some of zeros; and one run of many hundred slots.
slot_runs block_runs(std::int64_t blocks, bool blocks_are_source) {
  slot_runs runs{false, {{0, 0, 704}}};
  const std::int64_t listed = blocks - 704 / 16;
  const at::Tensor order = at::randperm(listed, at::TensorOptions().dtype(at::kLong));
  std::int64_t in_order = 704;
  for (std::int64_t i = 0; i < listed; ++i) {
    const std::int64_t block = 704 + 16 * order[i].item<std::int64_t>();
    const std::int64_t count = i % 20 == 3 ? 13 : i % 20 == 4 ? 3 : i == 100 ? 1 : 16;
    runs.runs.push_back(blocks_are_source ? slot_run{in_order, i % 30 == 15 ? -1 : block, count}
                                          : slot_run{block, i % 30 == 15 ? -1 : in_order, count});
    in_order += count;
  }
  return runs;
}

/// Runs of which several are copied together, in storages whose elements or slots are neighbours.
void check_block_copies(at::Device device) {
  const std::int64_t blocks = 200;
  const std::int64_t slots = 16 * blocks;
  for (const auto& [dtype, head_dim] :
       {std::pair{at::kBFloat16, 128}, {at::kFloat, 72}, {at::kByte, 64}, {at::kDouble, 16}, {at::kHalf, 33}}) {
    for (int kind = 0; kind < 9; ++kind) {
      for (const bool blocks_are_source : {false, true}) {
        const slot_runs runs = block_runs(blocks, blocks_are_source);
        const at::Tensor from = random_storage(1, slots, head_dim, kind / 3, dtype, device);
        const at::Tensor to = random_storage(1, slots, head_dim, kind % 3, dtype, device);
        const at::Tensor expected = to.clone();
        copy_slots_({expected}, {from}, runs, implementation::reference);
        copy_slots_({to}, {from}, runs, implementation::fused);
        REQUIRE(at::equal(to, expected));
      }
    }
  }
}

/// Every slot to its like, between all kinds of storages, in sizes that caches don't keep and that tiles don't divide.
void check_large_copies(at::Device device) {
  for (const auto& [dtype, head_dim] :
       {std::pair{at::kBFloat16, 128}, {at::kFloat, 72}, {at::kByte, 65}, {at::kDouble, 16}}) {
    for (int kind = 0; kind < 9; ++kind) {
      const at::Tensor from = random_storage(2, 16384 + 24, head_dim, kind / 3, dtype, device);
      const at::Tensor to = random_storage(2, 16384 + 24, head_dim, kind % 3, dtype, device).zero_();
      copy_slots_({to}, {from}, {});
      REQUIRE(at::equal(to, from));
    }
  }
}

}  // namespace

TEST_CASE("slots are copied between storages of any strides", "[tensor][copy_slots]") {
  check_copies(at::kCPU, implementation::reference);
  check_copies(at::kCPU, implementation::automatic);
  check_long_copies(at::kCPU);
  check_block_copies(at::kCPU);
  check_large_copies(at::kCPU);
}

TEST_CASE("slots are copied between storages of any strides on a GPU", "[tensor][copy_slots][cuda]") {
  if (cuda_available()) {
    check_copies(at::kCUDA, implementation::reference);
    check_copies(at::kCUDA, implementation::automatic);
    check_long_copies(at::kCUDA);
    check_block_copies(at::kCUDA);
    check_large_copies(at::kCUDA);
  }
}

TEST_CASE("without runs every slot is copied to its like", "[tensor][copy_slots]") {
  for (const implementation use : {implementation::reference, implementation::automatic}) {
    for (int kind = 0; kind < 16; ++kind) {
      const at::Tensor from = random_storage(3, 40, 8, kind / 4, at::kFloat, at::kCPU);
      const at::Tensor to = random_storage(3, 40, 8, kind % 4, at::kFloat, at::kCPU).zero_();
      copy_slots_({to}, {from}, {}, use);
      REQUIRE(at::equal(to, from));
    }
  }
}

TEST_CASE("no slots and no layers are nothing to copy", "[tensor][copy_slots]") {
  const at::Tensor to = random_keys({2, 3, 4, 8});
  const at::Tensor before = to.clone();
  copy_slots_({to}, {to.clone()}, {false, {}});
  CHECK(at::equal(to, before));
  CHECK_NOTHROW(copy_slots_({}, {}, {}));
}

TEST_CASE("storages that do not go together are refused", "[tensor][copy_slots]") {
  const at::Tensor to = random_keys({2, 3, 4, 8});
  CHECK_THROWS_AS(copy_slots_({to}, {}, {}), shape_error);
  CHECK_THROWS_AS(copy_slots_({to}, {random_keys({2, 2, 4, 8})}, {}), shape_error);
  CHECK_THROWS_AS(copy_slots_({to}, {random_keys({2, 3, 4, 6})}, {}), shape_error);
  CHECK_THROWS_AS(copy_slots_({to}, {random_keys({2, 3, 4, 8}, at::kHalf)}, {}), shape_error);
  CHECK_THROWS_AS(copy_slots_({to.clone().requires_grad_()}, {to}, {}), value_error);
}

TEST_CASE("layers of one arrangement in bytes and two in elements are copied apart", "[tensor][copy_slots]") {
  const at::Tensor wide = random_keys({1, 1, 16, 64});
  const at::Tensor narrow = random_keys({1, 1, 16, 128}, at::kBFloat16);
  const at::Tensor wide_copy = at::zeros_like(wide);
  const at::Tensor narrow_copy = at::zeros_like(narrow);
  const auto every_other = [](const at::Tensor& keys) { return keys.slice(3, 0, 128, 2); };
  copy_slots_({wide_copy, every_other(narrow_copy)}, {wide, every_other(narrow)}, {});
  CHECK(at::equal(wide_copy, wide));
  CHECK(at::equal(every_other(narrow_copy), every_other(narrow)));
  CHECK(narrow_copy.slice(3, 1, 128, 2).count_nonzero().item<std::int64_t>() == 0);
}

TEST_CASE("the operator refuses slots that do not exist", "[tensor][copy_slots]") {
  const at::Tensor to = random_keys({2, 1, 4, 8});
  for (const slot_run& run : {slot_run{100, 0, 1}, {0, 100, 1}, {2, 0, 3}, {0, 2, 3}, {0, 0, -1}, {-1, 0, 1}}) {
    CHECK_THROWS_AS(copy_slots_({to}, {to.clone()}, {false, {run}}, implementation::fused), shape_error);
  }
}

TEST_CASE("elements of sixteen bytes are copied whole", "[tensor][copy_slots]") {
  const at::Tensor from = random_keys({1, 2, 8, 5}).to(at::kComplexDouble).mul(c10::complex<double>(1, 2));
  const at::Tensor to = at::zeros_like(from.transpose(2, 3).contiguous().transpose(2, 3));
  copy_slots_({to}, {from}, {});
  CHECK(at::equal(to, from));
}
