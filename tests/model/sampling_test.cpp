#include "kvtransfer/model/sampling.hpp"

#include <ATen/ops/zeros.h>

#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>
#include <set>

#include "kvtransfer/core/error.hpp"
#include "kvtransfer/core/json_file.hpp"
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
  CHECK(sample_inverse_cdf(logits, 1.0, 0.0).token_id == 0);
  CHECK(sample_inverse_cdf(logits, 1.0, 0.124).token_id == 0);
  CHECK(sample_inverse_cdf(logits, 1.0, 0.126).token_id == 1);
  CHECK(sample_inverse_cdf(logits, 1.0, 0.374).token_id == 1);
  CHECK(sample_inverse_cdf(logits, 1.0, 0.376).token_id == 2);
  CHECK(sample_inverse_cdf(logits, 1.0, std::nextafter(1.0, 0.0)).token_id == 2);
}

TEST_CASE("a low temperature sharpens", "[model][sampling]") {
  const at::Tensor logits = logits_of({0.0F, 1.0F});
  CHECK(sample_inverse_cdf(logits, 1.0, 0.2).token_id == 0);
  CHECK(sample_inverse_cdf(logits, 0.1, 0.2).token_id == 1);
}

TEST_CASE("a token without probability is never drawn", "[model][sampling]") {
  const float none = -std::numeric_limits<float>::infinity();
  const at::Tensor logits = logits_of({none, 0.0F, none});
  for (const double uniform : {0.0, 0.5, 0.999999}) {
    CHECK(sample_inverse_cdf(logits, 1.0, uniform).token_id == 1);
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

TEST_CASE("draws are Philox's, to the last bit", "[model][sampling]") {
  const nlohmann::json known = read_json_object(KVT_SOURCE_DIR "/tests/model/fixtures/draws.json");
  REQUIRE(known.at("draws").size() == 25);
  for (const nlohmann::json& draw : known.at("draws")) {
    CHECK(uniform_draw(draw.at("seed").get<std::uint64_t>(), draw.at("step").get<std::uint64_t>()) ==
          draw.at("uniform").get<double>());
  }
}

TEST_CASE("a choice tells how close it was", "[model][sampling]") {
  CHECK(is_close(choose_token(logits_of({1.0F, 2.0F, 2.00005F}), 0, 0, 0)));
  CHECK_FALSE(is_close(choose_token(logits_of({1.0F, 2.0F, 2.001F}), 0, 0, 0)));
  const at::Tensor even = logits_of({0.0F, 0.0F});
  CHECK(sample_inverse_cdf(even, 1.0, 0.4).boundary_distance == test::Approx(0.1));
  CHECK(sample_inverse_cdf(even, 1.0, 0.50003).boundary_distance == test::Approx(0.00003));
  CHECK(is_close({0, 5.0F, 0.00003}));
  CHECK_FALSE(is_close({0, 0.0F, 0.1}));
}

TEST_CASE("of equal scores the first is chosen", "[model][sampling]") {
  CHECK(choose_token(logits_of({1.0F, 3.0F, 3.0F}), 0, 0, 0).token_id == 1);
}

TEST_CASE("a choice at a temperature is where the draw of its seed and step falls, to the last bit",
          "[model][sampling]") {
  const nlohmann::json known = read_json_object(KVT_SOURCE_DIR "/tests/model/fixtures/draws.json");
  constexpr std::int64_t count = 4096;  // equal shares of a power of two: sums and products are exact
  const at::Tensor even = at::zeros({count});
  for (const nlohmann::json& draw : known.at("draws")) {
    const double place = draw.at("uniform").get<double>() * count;
    const double beyond = place - std::floor(place);
    const token_choice choice =
        choose_token(even, 0.7, draw.at("seed").get<std::uint64_t>(), draw.at("step").get<std::uint64_t>());
    CHECK(choice.token_id == static_cast<std::int64_t>(place));
    CHECK(choice.boundary_distance == std::min(beyond, 1 - beyond) / count);
  }
}
