#include "distributions.hpp"

#include <boost/math/distributions/binomial.hpp>
#include <boost/math/distributions/normal.hpp>
#include <boost/math/distributions/students_t.hpp>

namespace kvtransfer::statistics::detail {

namespace math = boost::math;

double normal_quantile(double probability) { return math::quantile(math::normal(), probability); }

double normal_cdf(double value) { return math::cdf(math::normal(), value); }

double student_quantile(double degrees_of_freedom, double probability) {
  return math::quantile(math::students_t(degrees_of_freedom), probability);
}

double student_upper_tail(double degrees_of_freedom, double value) {
  return math::cdf(math::complement(math::students_t(degrees_of_freedom), value));
}

double binomial_pmf(double trials, double probability, double successes) {
  return math::pdf(math::binomial(trials, probability), successes);
}

double binomial_cdf(double trials, double probability, double successes) {
  return math::cdf(math::binomial(trials, probability), successes);
}

double two_sided_normal(double confidence) {
  return math::quantile(math::complement(math::normal(), (1 - confidence) / 2));
}

}  // namespace kvtransfer::statistics::detail
