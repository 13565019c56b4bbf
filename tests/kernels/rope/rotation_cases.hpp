#pragma once

#include <ATen/ops/equal.h>
#include <ATen/ops/full.h>
#include <ATen/ops/tensor.h>

#include <cstdint>
#include <string>
#include <vector>

#include "kernels/rope/kernel_rotation.hpp"
#include "rope/random_keys.hpp"
#include "support/test.hpp"

// What every device's kernel must do, whatever the shape: compared with complex arithmetic in float64.

namespace kvtransfer::test::kernels {

/// A head's extents, some of which no vector or word divides.
struct head_shape {
  std::int64_t rotary_dim;
  std::int64_t window_offset;
  std::int64_t head_dim;
};

inline const std::vector<head_shape>& head_shapes() {
  static const std::vector<head_shape> shapes = {{64, 0, 64},    {128, 0, 128}, {32, 0, 128}, {80, 0, 80},
                                                 {24, 8, 40},    {8, 0, 8},     {72, 0, 72},  {10, 3, 17},
                                                 {64, 512, 576}, {512, 0, 512}};
  return shapes;
}

/// Every kind of rotation, for positions below a million: one delta, rotate, unrotate, remap, reframe, and a model's
/// own angles.
inline std::vector<kernel_rotation> kinds_of_rotation(const head_shape& head, std::int64_t batch, std::int64_t kv_heads,
                                                      std::int64_t seq) {
  const at::Tensor f = plain_frequencies(head.rotary_dim / 2);
  const at::Tensor g = plain_frequencies(head.rotary_dim / 2, 5e5);
  const at::Tensor shared = random_positions({1, 1, 1, seq});
  const at::Tensor by_row = random_positions({1, batch, 1, seq}, 1 << 20, 3);
  const at::Tensor by_head = random_positions({1, 1, kv_heads, seq}, 1 << 20, 5);
  const at::Tensor streams = random_positions({3, batch, 1, seq}, 1 << 20, 9);
  const at::Tensor stream_of = at::arange(head.rotary_dim / 2).remainder(3).to(at::kByte);
  std::vector<kernel_rotation> rotations = {
      {.delta = -123456, .to_inv_freq = f, .gain = 1.5},
      {.to = shared, .to_inv_freq = f, .gain = 1.25},
      {.from = by_row, .from_inv_freq = f, .gain = 0.8},
      {.from = shared, .to = by_row, .from_inv_freq = f, .to_inv_freq = f},
      {.from = by_head, .to = shared, .from_inv_freq = f, .to_inv_freq = g, .gain = 1.1},
      {.from = by_head, .to = by_row, .from_inv_freq = f, .to_inv_freq = g, .model_faithful = true},
      {.from = shared, .to = streams, .from_inv_freq = f, .to_inv_freq = f, .stream_of = stream_of},
      {.from = streams,
       .to = by_head,
       .from_inv_freq = f,
       .to_inv_freq = g,
       .stream_of = stream_of,
       .model_faithful = true},
  };
  for (kernel_rotation& rotation : rotations) {
    rotation.window_offset = head.window_offset;
  }
  return rotations;
}

/// Keys as they lie in caches: heads before tokens, tokens before heads, and a part of a longer cache at an odd place.
inline std::vector<at::Tensor> keys_in_layouts(std::int64_t batch, std::int64_t kv_heads, std::int64_t seq,
                                               std::int64_t head_dim, at::ScalarType dtype, at::Device device) {
  const at::Tensor keys = random_keys({batch, kv_heads, seq, head_dim}, at::kFloat);
  const at::Tensor tokens_first = keys.transpose(1, 2).contiguous().to(dtype).to(device).transpose(1, 2);
  const at::Tensor roomy = random_keys({batch, kv_heads + 1, seq + 3, head_dim + 5}, at::kFloat).to(dtype).to(device);
  return {keys.to(dtype).to(device), tokens_first,
          roomy.narrow(1, 1, kv_heads).narrow(2, 2, seq).narrow(3, 1, head_dim)};
}

/// As precise as the dtype allows: 1.05 times what rounding the exact result would cost, or 1.5e-7 in fp32.
inline bool precise(const at::Tensor& rotated, const at::Tensor& exact) {
  const at::ScalarType dtype = rotated.scalar_type();
  const double bound =
      dtype == at::kFloat ? 1.5e-7 : 1.05 * relative_error(exact.to(at::kFloat).to(dtype).to(at::kFloat), exact);
  return relative_error(rotated.cpu().to(at::kFloat), exact) <= bound;
}

inline std::string name_of(const head_shape& head, at::ScalarType dtype, bool interleaved) {
  return std::string(c10::toString(dtype)) + " [" + std::to_string(head.window_offset) + ", +" +
         std::to_string(head.rotary_dim) + ") of " + std::to_string(head.head_dim) +
         (interleaved ? ", interleaved" : ", half-split");
}

/// Out of place, then in place: the same bits, precise, and the elements outside the window as they were.
inline void check_rotation(const at::Tensor& keys, const kernel_rotation& rotation) {
  const at::Tensor before = keys.clone();
  const at::Tensor exact = rotated_in_double(keys, rotation);
  const std::vector<at::Tensor> rotated = rotated_by_kernel({keys}, rotation);
  CHECK(precise(rotated[0], exact));
  CHECK(at::equal(keys.to(at::kFloat), before.to(at::kFloat)));
  rotate_by_kernel({keys}, rotation);
  CHECK(at::equal(keys.to(at::kFloat), rotated[0].to(at::kFloat)));
  const std::int64_t pairs = (rotation.to_inv_freq.defined() ? rotation.to_inv_freq : rotation.from_inv_freq).numel();
  for (const auto& [begin, end] : {std::pair(std::int64_t{0}, rotation.window_offset),
                                   std::pair(rotation.window_offset + 2 * pairs, keys.size(3))}) {
    CHECK(at::equal(keys.slice(3, begin, end).to(at::kFloat), before.slice(3, begin, end).to(at::kFloat)));
  }
}

inline void check_all_rotations(at::ScalarType dtype, at::Device device) {
  const std::int64_t batch = 2;
  const std::int64_t kv_heads = 3;
  const std::int64_t seq = 19;
  for (const head_shape& head : head_shapes()) {
    for (const bool interleaved : {false, true}) {
      INFO(name_of(head, dtype, interleaved));
      std::vector<kernel_rotation> rotations = kinds_of_rotation(head, batch, kv_heads, seq);
      const std::vector<at::Tensor> layouts = keys_in_layouts(batch, kv_heads, seq, head.head_dim, dtype, device);
      for (std::size_t i = 0; i < rotations.size(); ++i) {
        rotations[i].interleaved = interleaved;
        check_rotation(layouts[i % layouts.size()].clone(at::MemoryFormat::Preserve), rotations[i]);
        check_rotation(layouts[(i + 1) % layouts.size()], rotations[i]);
      }
    }
  }
}

/// 130 layers, more than one launch takes, in two layouts by turns.
inline void check_many_layers(at::Device device) {
  const kernel_rotation rotation{.from = random_positions({1, 1, 1, 9}),
                                 .to = random_positions({1, 1, 1, 9}, 1 << 20, 3),
                                 .from_inv_freq = plain_frequencies(32),
                                 .to_inv_freq = plain_frequencies(32)};
  std::vector<at::Tensor> layers;
  std::vector<at::Tensor> exact;
  for (std::int64_t i = 0; i < 130; ++i) {
    const at::Tensor keys = random_keys({1, 2, 9, 64}, at::kBFloat16, static_cast<std::uint64_t>(i)).to(device);
    layers.push_back(i % 7 == 0 ? keys.transpose(1, 2).contiguous().transpose(1, 2) : keys);
    exact.push_back(rotated_in_double(keys, rotation));
  }
  rotate_by_kernel(layers, rotation);
  for (std::size_t i = 0; i < layers.size(); ++i) {
    CHECK(precise(layers[i], exact[i]));
  }
}

/// What lies around the keys in their storage stays as it is.
inline void check_surroundings(at::Device device) {
  const at::Tensor roomy = random_keys({3, 5, 40, 96}, at::kHalf).to(device);
  const at::Tensor before = roomy.clone();
  const at::Tensor keys = roomy.narrow(0, 1, 1).narrow(1, 1, 3).narrow(2, 1, 37).narrow(3, 16, 64);
  rotate_by_kernel({keys}, {.delta = 77, .to_inv_freq = plain_frequencies(32)});
  keys.copy_(before.narrow(0, 1, 1).narrow(1, 1, 3).narrow(2, 1, 37).narrow(3, 16, 64));
  CHECK(at::equal(roomy, before));
}

/// fp8 keeps its scale, or changes it by the gain, and saturates.
inline void check_fp8_scale(at::Device device) {
  const at::Tensor keys = random_keys({1, 2, 33, 64}, at::kFloat);
  const kernel_rotation rotation{.delta = 1234, .to_inv_freq = plain_frequencies(32)};
  const at::Tensor stored = (keys / 0.01).clamp(-448, 448).to(at::kFloat8_e4m3fn).to(device);
  kernel_rotation rescaled = rotation;
  rescaled.gain = 0.01 / 0.02;
  const at::Tensor rotated = rotated_by_kernel({stored}, rescaled)[0].cpu().to(at::kFloat) * 0.02;
  const at::Tensor exact = rotated_in_double(stored, rotation) * 0.01;
  CHECK(relative_error(rotated, exact) < 0.05);
  const at::Tensor largest = at::full({1, 1, 5, 64}, 448.0, at::kFloat).to(at::kFloat8_e4m3fn).to(device);
  CHECK(rotated_by_kernel({largest}, rotation)[0].to(at::kFloat).abs().max().item<float>() == 448.0f);
}

}  // namespace kvtransfer::test::kernels
