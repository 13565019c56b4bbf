#include "kvtransfer/experiment/sequence.hpp"

#include "support/test.hpp"

using namespace kvtransfer;

TEST_CASE("every role has a name that finds it again", "[experiment][sequence]") {
  for (const token_role role : {token_role::format, token_role::bos, token_role::source, token_role::target,
                                token_role::generated, token_role::eos, token_role::noise}) {
    CHECK(token_role_named(name_of(role)) == role);
  }
  CHECK(token_role_named("prompt") == std::nullopt);
}

TEST_CASE("a sequence is as long as its parts together", "[experiment][sequence]") {
  CHECK(length_of({}) == 0);
  CHECK(length_of({{token_role::bos, 1, true}, {token_role::source, 9, true}, {token_role::target, 4, false}}) == 14);
}
