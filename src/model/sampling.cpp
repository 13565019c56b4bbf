#include "kvtransfer/model/sampling.hpp"

#include <ATen/core/PhiloxRNGEngine.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <vector>

#include "kvtransfer/core/error.hpp"
#include "model/draw_token.hpp"

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
  // Run by run: one sum over all would wait for itself at every token, once for the total and once more for the place.
  constexpr std::int64_t run = 64;
  std::vector<double> sums(static_cast<std::size_t>((count + run - 1) / run));
  for (std::int64_t i = 0; i < count; ++i) {
    sums[static_cast<std::size_t>(i / run)] += share[i];
  }
  const double sum = std::accumulate(sums.begin(), sums.end(), 0.0);
  const double passed = uniform * sum;
  std::int64_t token = 0;
  double begin = 0;
  for (std::size_t r = 0; r + 1 < sums.size() && begin + sums[r] <= passed; ++r) {
    begin += sums[r];
    token += run;
  }
  double end = begin + share[token];
  while (end <= passed && token + 1 < count) {
    ++token;
    begin = end;
    end += share[token];
  }
  return {token, std::max(std::min(passed - begin, end - passed) / sum, 0.0)};
}

void detail::require_numbers(bool numbers) {
  require<value_error>(numbers, "choose_token", "logits", "numbers", "NaN");
}

token_choice detail::choose_at(const at::Tensor& logits, double temperature, double uniform) {
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
  require_numbers(numbers);
  const float margin = score[best] - second;
  if (temperature > 0) {
    const drawn_token drawn = sample_inverse_cdf(scores, temperature, uniform);
    return {drawn.token_id, margin, drawn.boundary_distance};
  }
  return {best, margin};
}

token_choice choose_token(const at::Tensor& logits, double temperature, std::uint64_t seed, std::uint64_t step) {
  return detail::choose_at(logits, temperature, temperature > 0 ? uniform_draw(seed, step) : 0);
}

}  // namespace kvtransfer
