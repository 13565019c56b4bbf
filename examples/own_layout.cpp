// Teaches the library a layout that it doesn't know, Megatron's [seq, batch, kv_heads, head_dim], by one small struct;
// then moves such a cache where it lies, and takes it to vLLM's blocks and back.

#include <ATen/ops/equal.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/tensor.h>
#include <fmt/format.h>

#include <string_view>
#include <vector>

#include "kvtransfer/cache/borrowed_cache.hpp"
#include "kvtransfer/cache/compare.hpp"
#include "kvtransfer/cache/convert.hpp"
#include "kvtransfer/rope/move_tensor.hpp"

namespace {

struct megatron {
  static constexpr std::string_view name = "megatron";
  static constexpr std::string_view axes = "[seq, batch, kv_heads, head_dim]";
  [[nodiscard]] at::Tensor view(const at::Tensor& tensor) const { return tensor.permute({1, 2, 0, 3}); }
  [[nodiscard]] at::Tensor arrange(const at::Tensor& canonical) const { return canonical.permute({2, 0, 1, 3}); }
};
static_assert(kvtransfer::StridedLayout<megatron>);

}  // namespace

int main() {
  using namespace kvtransfer;
  rotary_specification rotary;
  rotary.inv_freq = {1.0F, 0.1F, 0.01F, 0.001F};
  const at::Tensor plain = at::randn({2, 4, 6, 8});  // two texts of six tokens, four KV heads, before RoPE
  const auto written_at = [&](std::int64_t first) {
    return megatron()
        .arrange(rope::rotate(plain, position_tensor(position_map::consecutive(first, 6)), rotary))
        .contiguous();
  };
  const std::vector<at::Tensor> keys = {written_at(0)};
  const std::vector<at::Tensor> values = {at::randn({6, 2, 4, 8})};
  const cache_frame frame(1, {position_map::consecutive(0, 6, 2), {rotary}});

  borrowed_cache kv(keys, values, frame, megatron());
  kv.shift(100);  // at once and in place: the tensors are somebody else's
  const std::vector<at::Tensor> expected = {written_at(100)};
  const double apart = compare(kv.view(), cache_view(expected, values, kv.frame(), megatron())).largest();

  const at::Tensor block_table = at::tensor({5, 1, 0, 3}, at::kInt).view({2, 2});
  const layouts::paged_nhd paged{layouts::block_slots(block_table, at::tensor({6, 6}, at::kInt), 4)};
  const auto back = convert(convert(kv.view(), paged), megatron());
  const bool same =
      at::equal(back.layer(0).stored_keys(), keys[0]) && at::equal(back.layer(0).stored_values(), values[0]);

  fmt::print("moved by 100 positions in place: {:.1e} from keys written there\n", apart);
  fmt::print("to blocks of four tokens and back: {}\n", same ? "the same bits" : "other bits");
  return apart < 1e-5 && same ? 0 : 1;
}
