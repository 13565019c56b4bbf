#include <cmath>
#include <cstdint>
#include <numbers>
#include <random>

#include "kernels/rope/angles.hpp"
#include "kernels/rope/lanes_scalar.hpp"
#include "support/test.hpp"

namespace kvtransfer::test::kernels {
namespace {

using rope::kernels::scalar_lanes;

constexpr double units_per_turn = 4294967296.0;
constexpr double two_pi = 2 * std::numbers::pi;

/// The distance of two angles, radians, whole turns apart or not.
double distance(double left, double right) { return std::abs(std::remainder(left - right, two_pi)); }

double radians_of(std::uint32_t angle) { return angle / units_per_turn * two_pi; }

std::uint32_t kernel_angle(std::int64_t tokens, float frequency) {
  const double units = frequency / two_pi * units_per_turn;
  const double whole = std::nearbyint(units);
  return rope::kernels::exact_angle<scalar_lanes>(static_cast<std::uint32_t>(tokens),
                                                  static_cast<std::uint32_t>(static_cast<std::int64_t>(whole)),
                                                  static_cast<float>(units - whole));
}

}  // namespace

TEST_CASE("an exact angle is within 1e-8 radians for any position that a model has", "[rope][kernels][angles]") {
  std::mt19937_64 random(1);
  std::uniform_int_distribution<std::int64_t> tokens(-(1 << 24), 1 << 24);
  std::uniform_real_distribution<double> exponent(-7, 0);
  double worst = 0;
  for (int i = 0; i < 100000; ++i) {
    const std::int64_t position = tokens(random);
    const auto frequency = static_cast<float>(std::pow(10.0, exponent(random)));
    worst = std::max(worst, distance(radians_of(kernel_angle(position, frequency)),
                                     static_cast<double>(position) * static_cast<double>(frequency)));
  }
  CHECK(worst < 1e-8);
}

TEST_CASE("a model's angle is the difference of its two rounded products", "[rope][kernels][angles]") {
  std::mt19937_64 random(2);
  std::uniform_int_distribution<std::uint32_t> tokens(0, 1 << 20);
  std::uniform_real_distribution<float> frequency(1e-6f, 1.0f);
  double worst = 0;
  for (int i = 0; i < 100000; ++i) {
    const std::uint32_t q = tokens(random);
    const std::uint32_t p = tokens(random);
    const float target = frequency(random);
    const float stored = frequency(random);
    const float target_product = static_cast<float>(q) * target;
    const float stored_product = static_cast<float>(p) * stored;
    worst = std::max(worst, distance(radians_of(rope::kernels::model_angle<scalar_lanes>(q, target, p, stored)),
                                     static_cast<double>(target_product) - static_cast<double>(stored_product)));
  }
  CHECK(worst < 2e-8);
}

TEST_CASE("cosine and sine are right to the last bit or two at every angle", "[rope][kernels][angles]") {
  double worst = 0;
  for (std::uint64_t angle = 0; angle < (1ull << 32); angle += 40503) {
    float cosine = 0;
    float sine = 0;
    rope::kernels::cosine_and_sine<scalar_lanes>(static_cast<std::uint32_t>(angle), cosine, sine);
    const double exact = radians_of(static_cast<std::uint32_t>(angle));
    worst = std::max({worst, std::abs(cosine - std::cos(exact)), std::abs(sine - std::sin(exact))});
  }
  CHECK(worst < 1.2e-7);
}

TEST_CASE("an angle of nothing is cosine one and sine zero", "[rope][kernels][angles]") {
  float cosine = 0;
  float sine = 1;
  rope::kernels::cosine_and_sine<scalar_lanes>(0u, cosine, sine);
  CHECK(cosine == 1.0f);
  CHECK(sine == 0.0f);
}

}  // namespace kvtransfer::test::kernels
