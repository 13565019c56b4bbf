#include <ATen/TensorOperators.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/pow.h>
#include <ATen/ops/randint.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/zeros_like.h>
#include <benchmark/benchmark.h>

#include <cstdint>
#include <string>
#include <vector>

#include "kvtransfer/tensor/kernel_table.hpp"
#include "support/against_copy.hpp"
#include "support/interleaved_timing.hpp"

// The fused rotations of a whole cache's keys. Each is timed by turns with a plain copy and with an in-place touch of
// the same bytes, and less often with the expression that transformers uses; counters give the medians of the ratios
// (`x_touch` 1.05: 5 % longer than a touch), and GB/s read and written.

namespace kvtransfer::bench {
namespace {

/// A cache's keys: `layers` of [1, kv_heads, seq, head_dim], one storage.
struct cache_shape {
  std::string name;
  std::int64_t layers;
  std::int64_t kv_heads;
  std::int64_t head_dim;
  std::int64_t bytes;

  std::int64_t seq(at::ScalarType dtype) const {
    return bytes / (layers * kv_heads * head_dim * static_cast<std::int64_t>(c10::elementSize(dtype)));
  }
};

at::Tensor frequencies(std::int64_t head_dim, double theta) {
  return at::pow(theta, at::arange(0, head_dim, 2, at::kDouble) * (-1.0 / static_cast<double>(head_dim)))
      .to(at::kFloat);
}

/// `kvtransfer::rotate_keys_` with its arguments but the keys.
class rotation_operator {
 public:
  rotation_operator(const std::string& kind, std::int64_t seq, std::int64_t head_dim, bool interleaved,
                    at::Device device) {
    rotation_.delta = 777;
    rotation_.to_inv_freq = frequencies(head_dim, 1e4);
    rotation_.interleaved = interleaved;
    rotation_.model_faithful = kind == "model_faithful";
    if (kind != "shift") {
      const auto positions = [&] { return at::randint(0, 1 << 20, {seq}, at::kLong).to(device); };
      rotation_.from_positions = positions();
      rotation_.to_positions = positions();
      rotation_.from_inv_freq = kind == "reframe" ? frequencies(head_dim, 5e5) : rotation_.to_inv_freq;
    }
  }

  void operator()(at::TensorList keys) const { detail::kernels()->rotate_keys_(rotation_, keys); }

 private:
  detail::rotation_tensors rotation_;
};

/// transformers' apply_rotary_pos_emb on all layers at once, with cosines and sines that are there already.
class transformers_expression {
 public:
  transformers_expression(std::int64_t seq, std::int64_t head_dim, at::TensorOptions options) {
    const at::Tensor angles = at::arange(seq, at::kFloat).unsqueeze(1) * frequencies(head_dim, 1e4);
    const at::Tensor doubled = at::cat({angles, angles}, -1);
    cosine_ = doubled.cos().to(options);
    sine_ = doubled.sin().to(options);
  }

  void operator()(const at::Tensor& keys) const {
    const std::int64_t half = keys.size(-1) / 2;
    const at::Tensor halves_exchanged = at::cat({-keys.narrow(-1, half, half), keys.narrow(-1, 0, half)}, -1);
    keys.copy_(keys * cosine_ + halves_exchanged * sine_);
  }

 private:
  at::Tensor cosine_;
  at::Tensor sine_;
};

void time_rotation(benchmark::State& state, const std::string& kind, const cache_shape& shape, at::ScalarType dtype,
                   bool interleaved, at::Device device) {
  const std::int64_t seq = shape.seq(dtype);
  const auto options = at::TensorOptions().dtype(dtype).device(device);
  const at::Tensor all = at::randn({shape.layers, 1, shape.kv_heads, seq, shape.head_dim}, at::kFloat).to(options);
  const at::Tensor words = all.flatten().view(at::kLong);
  const at::Tensor elsewhere = at::zeros_like(words);
  const std::vector<at::Tensor> keys = all.unbind();
  const rotation_operator rotate_keys(kind, seq, shape.head_dim, interleaved, device);
  const auto touch_elsewhere = [&] { elsewhere.bitwise_xor_(1); };
  interleaved_timing timing(
      device, {[&] { rotate_keys(keys); }, [&] { words.bitwise_xor_(1); }, [&] { elsewhere.copy_(words); }},
      touch_elsewhere);
  for ([[maybe_unused]] auto iteration : state) {
    state.SetIterationTime(timing.round());
  }
  const double bytes = static_cast<double>(all.nbytes());
  state.counters["MB"] = bytes * 1e-6;
  state.counters["GB/s"] = 2e-9 * bytes / timing.median_seconds(0);
  state.counters["touch_GB/s"] = 2e-9 * bytes / timing.median_seconds(1);
  state.counters["x_touch"] = timing.ratio_to(1);
  state.counters["x_copy"] = timing.ratio_to(2);
  state.counters["more_us"] = 1e6 * (timing.median_seconds(0) - timing.median_seconds(1));
  if (device.is_cpu()) {
    state.counters["x_touch_processor"] = timing.processor_ratio_to(1);
  }
  if (kind == "shift" && dtype != at::kFloat8_e4m3fn) {
    const transformers_expression expression(seq, shape.head_dim, options);
    interleaved_timing against(device, {[&] { rotate_keys(keys); }, [&] { expression(all); }}, touch_elsewhere);
    for (int round = 0; round < 5; ++round) {
      against.round();
    }
    state.counters["faster_than_transformers"] = 1 / against.ratio_to(1);
  }
}

std::string short_name(at::ScalarType dtype) {
  switch (dtype) {
    case at::kFloat:
      return "fp32";
    case at::kBFloat16:
      return "bf16";
    case at::kHalf:
      return "fp16";
    default:
      return "fp8";
  }
}

void add(const std::string& kind, const cache_shape& shape, at::ScalarType dtype, bool interleaved, at::Device device,
         int rounds = 20) {
  const std::string name = "rotate/" + device.str() + "/" + kind + "/" + shape.name + "/" + short_name(dtype) +
                           (interleaved ? "/interleaved" : "");
  benchmark::RegisterBenchmark(
      name.c_str(), [=](benchmark::State& state) { time_rotation(state, kind, shape, dtype, interleaved, device); })
      ->UseManualTime()
      ->Unit(benchmark::kMicrosecond)
      ->Iterations(rounds);
}

void add_all(at::Device device) {
  const std::int64_t bytes = device.is_cpu() ? std::int64_t{160} << 20 : std::int64_t{1} << 30;
  const cache_shape narrow{"22 layers, 4 heads of 64", 22, 4, 64, bytes};
  const cache_shape wide{"32 layers, 8 heads of 128", 32, 8, 128, bytes};
  const cache_shape single{"1 layer, 8 heads of 128", 1, 8, 128, bytes};
  const cache_shape prompt{"64 tokens, 22 layers, 4 heads of 64", 22, 4, 64, 22 * 4 * 64 * 64 * 2};
  for (const std::string kind : {"shift", "remap", "reframe", "model_faithful"}) {
    for (const at::ScalarType dtype : {at::kBFloat16, at::kHalf, at::kFloat}) {
      add(kind, narrow, dtype, false, device);
      add(kind, wide, dtype, false, device);
    }
    add(kind, wide, at::kBFloat16, true, device);
    add(kind, single, at::kBFloat16, false, device);
    add(kind, prompt, at::kBFloat16, false, device, 200);
    if (device.is_cuda()) {
      add(kind, wide, at::kFloat8_e4m3fn, false, device);
    }
  }
}

const bool added = [] {
  if (detail::kernels() != nullptr) {
    for (const at::Device device : devices()) {
      add_all(device);
    }
  }
  return true;
}();

}  // namespace
}  // namespace kvtransfer::bench
