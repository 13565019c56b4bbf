#include "kvtransfer/cache/detail/storage_memory.hpp"

#include <ATen/ops/zeros.h>

#include <cstdint>
#include <cstring>
#include <vector>

#include "kvtransfer/tensor/layouts/paged.hpp"
#include "kvtransfer/tensor/layouts/slot_table.hpp"
#include "kvtransfer/tensor/lower.hpp"
#include "support/test.hpp"

using namespace kvtransfer;

namespace {

/// That the ranges of layers in one layout are the bytes of the slots that its table names: no more, no less.
template <class Layout>
void check_memory(const Layout& layout, const std::vector<at::Tensor>& tensors) {
  std::vector<layouts::storage> layers;
  for (const at::Tensor& tensor : tensors) {
    layers.push_back(layouts::lower(layout, tensor, "test", "tensor"));
  }
  for (const layouts::storage& layer : layers) {
    for (const layouts::slot_span& span : layout.slots.spans()) {
      layer.blocks.select(0, span.block).narrow(1, span.slot, span.count).fill_(1);
    }
  }
  for (const memory_range& range : detail::memory_of(layers)) {
    for (std::uintptr_t at = range.begin; at < range.end; at += sizeof(float)) {
      float value = 0;
      std::memcpy(&value, reinterpret_cast<const void*>(at), sizeof(float));
      CHECK(value == 1);
      value = 2;
      std::memcpy(reinterpret_cast<void*>(at), &value, sizeof(float));
    }
  }
  for (const at::Tensor& tensor : tensors) {
    CHECK_FALSE(tensor.eq(1).any().item<bool>());  // every one was found
  }
}

/// Two sequences of 7 and 4 slots in blocks of 4, the last of the first not full, in a pool of more.
const layouts::slot_table& two_sequences() {
  static const layouts::slot_table table(2, 7, {{0, 0, 5, 0, 4}, {0, 4, 1, 0, 3}, {1, 0, 6, 0, 4}}, 4);
  return table;
}

}  // namespace

TEST_CASE("the memory of a paged cache is that of its slots, whichever blocks and heads they lie in",
          "[cache][storage_memory]") {
  const layouts::paged_nhd tokens_first{two_sequences()};
  check_memory(tokens_first, {at::zeros({8, 4, 3, 2}), at::zeros({8, 4, 3, 2}), at::zeros({9, 4, 2, 2})});
  const layouts::paged_hnd heads_first{two_sequences()};
  check_memory(heads_first, {at::zeros({8, 3, 4, 2}), at::zeros({8, 3, 4, 2}), at::zeros({9, 2, 4, 2})});
}

TEST_CASE("the memory of layers in one pool is found of each", "[cache][storage_memory]") {
  const at::Tensor pool = at::zeros({3, 8, 3, 4, 2});
  check_memory(layouts::paged_hnd{two_sequences()}, {pool[2], pool[0]});
  const at::Tensor of_more_heads = at::zeros({8, 3, 4, 5});
  check_memory(layouts::paged_hnd{two_sequences()}, {of_more_heads.narrow(1, 1, 1)});
}
