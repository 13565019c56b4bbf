#include "kvtransfer/model/sampling.hpp"

#include <ATen/core/PhiloxRNGEngine.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "kvtransfer/core/error.hpp"

namespace kvtransfer {

double uniform_draw(std::uint64_t seed, std::uint64_t step) {
  at::philox_engine engine(seed, step);
  const std::uint64_t high = engine();
  const std::uint64_t low = engine();
  constexpr double resolution = 1.0 / 9007199254740992.0;  // 2^-53
  return static_cast<double>(((high << 32) | low) >> 11) * resolution;
}

drawn_token sample_inverse_cdf(const at::Tensor& logits, double temperature, double uniform) {
  const at::Tensor scores = logits.to(at::kDouble);
  const at::Tensor shares = scores.sub(scores.max()).div_(temperature).exp_();
  const double* share = shares.const_data_ptr<double>();
  const std::int64_t count = shares.numel();
  double sum = 0;
  for (std::int64_t i = 0; i < count; ++i) {
    sum += share[i];
  }
  const double passed = uniform * sum;
  double begin = 0;
  double end = share[0];
  std::int64_t token = 0;
  while (end <= passed && token + 1 < count) {
    ++token;
    begin = end;
    end += share[token];
  }
  return {token, std::max(std::min(passed - begin, end - passed) / sum, 0.0)};
}

token_choice choose_token(const at::Tensor& logits, double temperature, std::uint64_t seed, std::uint64_t step) {
  const at::Tensor scores = logits.contiguous();
  const float* score = scores.const_data_ptr<float>();
  const std::int64_t count = scores.numel();
  std::int64_t best = 0;
  float second = count == 1 ? score[0] : -std::numeric_limits<float>::infinity();
  bool numbers = !std::isnan(score[0]);
  for (std::int64_t i = 1; i < count; ++i) {
    numbers = numbers && !std::isnan(score[i]);
    if (score[i] > score[best]) {
      second = score[best];
      best = i;
    } else {
      second = std::max(second, score[i]);
    }
  }
  require<value_error>(numbers, "choose_token", "logits", "numbers", "NaN");
  const float margin = score[best] - second;
  if (temperature > 0) {
    const drawn_token drawn = sample_inverse_cdf(scores, temperature, uniform_draw(seed, step));
    return {drawn.token_id, margin, drawn.boundary_distance};
  }
  return {best, margin};
}

}  // namespace kvtransfer
