#include "kvtransfer/tensor/lower.hpp"

#include "kvtransfer/tensor/layouts.hpp"
#include "rope/random_keys.hpp"
#include "support/message.hpp"
#include "support/test.hpp"

using namespace kvtransfer;
using namespace kvtransfer::test;

TEST_CASE("a layout by strides lowers to itself", "[tensor][lower]") {
  const at::Tensor keys = random_keys({2, 5, 3, 8});
  const layouts::storage plain = layouts::lower(layouts::batch_seq_heads_dim{}, keys, "test", "keys");
  CHECK(plain.extents() == cache_extents{2, 3, 5, 8});
  CHECK_FALSE(plain.slots);
  CHECK(plain.blocks.data_ptr() == keys.data_ptr());
}

TEST_CASE("lowered tensors are alike where every slot lies at the same place", "[tensor][lower]") {
  const layouts::slot_table table(1, 2, {{0, 0, 0, 0, 2}});
  const layouts::storage first{random_keys({1, 2, 4, 8}), table};
  CHECK(first.is_like({random_keys({1, 2, 4, 8}), layouts::slot_table(1, 2, {{0, 0, 0, 0, 2}})}));
  CHECK_FALSE(first.is_like({random_keys({2, 2, 4, 8}), table}));
  CHECK_FALSE(first.is_like({random_keys({1, 2, 4, 8}), layouts::slot_table(1, 2, {{0, 0, 0, 1, 2}})}));
  CHECK_FALSE(first.is_like({random_keys({1, 2, 4, 8}), std::nullopt}));
}

TEST_CASE("a tensor that is not in the layout is refused by the layout's axes", "[tensor][lower]") {
  const auto lowered = [](const at::Tensor& tensor) {
    return message_of<shape_error>([&] { layouts::lower(layouts::batch_seq_heads_dim{}, tensor, "test", "keys"); });
  };
  CHECK(lowered(random_keys({5, 3, 8})) ==
        "test: keys: expected [batch, seq, kv_heads, head_dim], floating, got [5, 3, 8] Float on cpu");
  CHECK(lowered(random_keys({2, 5, 3, 8}).to(at::kLong)) != "");
  CHECK(lowered(at::Tensor()) != "");
}
