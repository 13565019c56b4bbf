#include "kvtransfer/model/sampling.hpp"

#include <ATen/ops/zeros.h>

#include <cmath>
#include <limits>
#include <set>

#include "kvtransfer/core/error.hpp"
#include "support/test.hpp"

using namespace kvtransfer;

namespace {

at::Tensor logits_of(const std::vector<float>& values) {
  at::Tensor logits = at::zeros({static_cast<std::int64_t>(values.size())});
  std::copy(values.begin(), values.end(), logits.mutable_data_ptr<float>());
  return logits;
}

}  // namespace

TEST_CASE("a draw depends on its seed and step alone", "[model][sampling]") {
  std::set<double> seen;
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    for (std::uint64_t step = 0; step < 20; ++step) {
      const double draw = uniform_draw(seed, step);
      CHECK((draw >= 0 && draw < 1));
      CHECK(draw == uniform_draw(seed, step));
      seen.insert(draw);
    }
  }
  CHECK(seen.size() == 400);
}

TEST_CASE("draws spread evenly over the unit interval", "[model][sampling]") {
  std::array<int, 10> bins{};
  for (std::uint64_t step = 0; step < 10000; ++step) {
    ++bins[static_cast<std::size_t>(uniform_draw(7, step) * 10)];
  }
  for (const int bin : bins) {
    CHECK(bin > 850);  // five standard deviations around 1000
    CHECK(bin < 1150);
  }
}

TEST_CASE("the inverse CDF gives each token the share of the interval that is its probability", "[model][sampling]") {
  const at::Tensor logits = logits_of({std::log(1.0F), std::log(2.0F), std::log(5.0F)});
  CHECK(sample_inverse_cdf(logits, 1.0, 0.0) == 0);
  CHECK(sample_inverse_cdf(logits, 1.0, 0.124) == 0);
  CHECK(sample_inverse_cdf(logits, 1.0, 0.126) == 1);
  CHECK(sample_inverse_cdf(logits, 1.0, 0.374) == 1);
  CHECK(sample_inverse_cdf(logits, 1.0, 0.376) == 2);
  CHECK(sample_inverse_cdf(logits, 1.0, std::nextafter(1.0, 0.0)) == 2);
}

TEST_CASE("a low temperature sharpens", "[model][sampling]") {
  const at::Tensor logits = logits_of({0.0F, 1.0F});
  CHECK(sample_inverse_cdf(logits, 1.0, 0.2) == 0);
  CHECK(sample_inverse_cdf(logits, 0.1, 0.2) == 1);
}

TEST_CASE("a token without probability is never drawn", "[model][sampling]") {
  const float none = -std::numeric_limits<float>::infinity();
  const at::Tensor logits = logits_of({none, 0.0F, none});
  for (const double uniform : {0.0, 0.5, 0.999999}) {
    CHECK(sample_inverse_cdf(logits, 1.0, uniform) == 1);
  }
}

TEST_CASE("greedy takes the best and says by how much", "[model][sampling]") {
  const token_choice choice = choose_token(logits_of({1.0F, 4.5F, 3.0F}), 0, 0, 0);
  CHECK(choice.token_id == 1);
  CHECK(choice.top2_margin == 1.5F);
}

TEST_CASE("logits that are not numbers are refused", "[model][sampling]") {
  CHECK_THROWS_AS(choose_token(logits_of({1.0F, std::nanf(""), 3.0F}), 0, 0, 0), value_error);
}
