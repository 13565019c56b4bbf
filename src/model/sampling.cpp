#include "kvtransfer/model/sampling.hpp"

#include <ATen/core/PhiloxRNGEngine.h>
#include <ATen/ops/topk.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <vector>

#include "kvtransfer/core/error.hpp"

namespace kvtransfer {

double uniform_draw(std::uint64_t seed, std::uint64_t step) {
  at::philox_engine engine(seed, step);
  const std::uint64_t high = engine();
  const std::uint64_t low = engine();
  constexpr double resolution = 1.0 / 9007199254740992.0;  // 2^-53
  return static_cast<double>(((high << 32) | low) >> 11) * resolution;
}

std::int64_t sample_inverse_cdf(const at::Tensor& logits, double temperature, double uniform) {
  const at::Tensor scores = logits.contiguous();
  const float* score = scores.const_data_ptr<float>();
  const std::int64_t count = scores.numel();
  const double largest = *std::max_element(score, score + count);
  std::vector<double> cumulative(static_cast<std::size_t>(count));
  double sum = 0;
  for (std::int64_t i = 0; i < count; ++i) {
    sum += std::exp((score[i] - largest) / temperature);
    cumulative[static_cast<std::size_t>(i)] = sum;
  }
  const auto chosen = std::upper_bound(cumulative.begin(), cumulative.end(), uniform * sum);
  return std::min<std::int64_t>(chosen - cumulative.begin(), count - 1);
}

token_choice choose_token(const at::Tensor& logits, double temperature, std::uint64_t seed, std::uint64_t step) {
  const auto [values, indices] = at::topk(logits, std::min<std::int64_t>(2, logits.numel()));
  const float best = values[0].item<float>();
  if (std::isnan(best)) {
    fail<value_error>("choose_token", "logits", "numbers", "NaN");
  }
  const float second = values[values.numel() - 1].item<float>();
  const std::int64_t chosen = temperature > 0 ? sample_inverse_cdf(logits, temperature, uniform_draw(seed, step))
                                              : indices[0].item<std::int64_t>();
  return {chosen, best - second};
}

}  // namespace kvtransfer
