#include "model/fingerprint.hpp"

#include <ATen/core/Tensor.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/signbit.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

namespace kvtransfer::detail {

namespace {

/// Source: the 64-bit FNV-1a hash, draft-eastlake-fnv. It tells models apart; it does not defend against forgery.
class fnv1a {
 public:
  void add(std::span<const std::byte> bytes) {
    for (const std::byte byte : bytes) {
      state_ = (state_ ^ static_cast<std::uint64_t>(byte)) * 0x100000001b3ULL;
    }
  }
  void add(std::string_view text) { add(std::as_bytes(std::span(text))); }
  [[nodiscard]] std::uint64_t value() const { return state_; }

 private:
  std::uint64_t state_ = 0xcbf29ce484222325ULL;
};

/// The configuration that shapes the computation. What RoPE does, a frame's own specification says.
std::string describe(const model_config& config) {
  return fmt::format("{} {} {} {} {} {} {} {} {} {};", config.architecture, config.layers, config.hidden_size,
                     config.intermediate_size, config.q_heads, config.kv_heads, config.head_dim, config.vocab_size,
                     config.rms_norm_eps, config.tie_word_embeddings);
}

/// A few runs of neighbouring elements, spread over the tensor: views, so that of a mapped file few pages are read.
void add_samples(const at::Tensor& tensor, std::vector<at::Tensor>& samples) {
  constexpr std::int64_t runs = 4;
  constexpr std::int64_t longest = 64;
  const at::Tensor flat = tensor.detach().reshape({-1});
  const std::int64_t length = std::min(longest, flat.numel());
  for (std::int64_t run = 0; run < runs; ++run) {
    samples.push_back(flat.narrow(0, (flat.numel() - length) * run / (runs - 1), length));
  }
}

}  // namespace

std::string model_fingerprint(const model_config& config, const model_weights& weights) {
  fnv1a hash;
  hash.add(describe(config));
  std::vector<at::Tensor> samples;
  for_each_parameter(weights, [&](const std::string& name, const at::Tensor& tensor) {
    hash.add(fmt::format("{} {};", name, fmt::join(tensor.sizes(), "x")));
    add_samples(tensor, samples);
  });
  const at::Tensor signs = at::signbit(at::cat(samples)).cpu();
  hash.add({static_cast<const std::byte*>(signs.const_data_ptr()), signs.nbytes()});
  return fmt::format("{}-{}x{}-{:016x}", config.architecture, config.layers, config.hidden_size, hash.value());
}

}  // namespace kvtransfer::detail
