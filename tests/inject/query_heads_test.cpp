#include "kvtransfer/inject/select/heads.hpp"
#include "support/test.hpp"

using namespace kvtransfer;

TEST_CASE("neighbouring query heads share a KV head", "[inject][query_heads]") {
  const query_head_group served = query_heads_with(5, 8, 2);
  CHECK(served.kv_head == 1);
  CHECK(served.q_heads == slot_range{4, 4});
  CHECK(query_heads_with(3, 4, 4).kv_head == 3);
  CHECK(query_heads_with(3, 4, 1).q_heads == slot_range{0, 4});
}

TEST_CASE("heads that do not share evenly, or are not there, are refused", "[inject][query_heads]") {
  CHECK_THROWS_AS(query_heads_with(0, 3, 2), value_error);
  CHECK_THROWS_AS(query_heads_with(4, 4, 2), value_error);
  CHECK_THROWS_AS(query_heads_with(-1, 4, 2), value_error);
  CHECK_THROWS_AS(query_heads_with(0, 0, 2), value_error);
}
