#include "kvtransfer/model/causal_lm.hpp"

#include "kvtransfer/core/error.hpp"
#include "support/small_model.hpp"
#include "support/test.hpp"

using namespace kvtransfer;
using namespace kvtransfer::test;

TEST_CASE("two models of one shape carry different fingerprints", "[model][causal_lm]") {
  CHECK(small_model(1).fingerprint == small_model(1).fingerprint);
  CHECK(small_model(1).fingerprint != small_model(2).fingerprint);
}

TEST_CASE("a folder that does not exist is named", "[model][causal_lm]") {
  CHECK_THROWS_AS(causal_lm::open("/no/such/model", at::kCPU, at::kFloat), file_error);
}
