#include "kvtransfer/tensor/layouts/latent.hpp"

#include <ATen/ops/tensor.h>

#include <vector>

#include "kvtransfer/tensor/canonical.hpp"
#include "rope/random_keys.hpp"
#include "support/message.hpp"
#include "support/test.hpp"

using namespace kvtransfer;
using namespace kvtransfer::test;

TEST_CASE("keys are the latent with its rotary key, values the latent alone", "[tensor][layouts][latent]") {
  const at::Tensor tensor = random_keys({2, 5, 576});
  const auto layout = layouts::latent();
  const at::Tensor keys = layouts::lower(layouts::keys_of(layout), tensor, "test", "keys").blocks;
  const at::Tensor values = layouts::lower(layouts::values_of(layout), tensor, "test", "values").blocks;
  CHECK(keys.sizes() == at::IntArrayRef{2, 1, 5, 576});
  CHECK(values.sizes() == at::IntArrayRef{2, 1, 5, 512});
  CHECK(keys.data_ptr() == tensor.data_ptr());
  CHECK(values.data_ptr() == tensor.data_ptr());
  CHECK(layout.keys.arrange(keys).sizes() == tensor.sizes());
}

TEST_CASE("latents may be ragged or paged", "[tensor][layouts][latent]") {
  const auto ragged = layouts::latent(layouts::ragged{layouts::cumulative_slots(at::tensor({0, 2, 5}, at::kInt))}, 4);
  const at::Tensor tokens = random_keys({5, 6});
  CHECK(
      at::equal(layouts::canonical(layouts::lower(ragged.keys, tokens, "test", "keys"))[1][0], tokens.slice(0, 2, 5)));
  CHECK(ragged.keys.storage_shape(1, 6) == std::vector<std::int64_t>{5, 6});
  const layouts::slot_table blocks =
      layouts::block_slots(at::tensor({2, 0}, at::kInt).view({1, 2}), at::tensor({3}, at::kInt), 2);
  const auto paged = layouts::latent(layouts::paged_hnd{blocks}, 4);
  const at::Tensor pool = random_keys({3, 2, 6});
  const at::Tensor values = layouts::canonical(layouts::lower(paged.values, pool, "test", "values"));
  CHECK(at::equal(values[0][0][2], pool[0][0].slice(0, 0, 4)));
  CHECK(paged.values.storage_shape(1, 4) == std::vector<std::int64_t>{3, 2, 4});
}

TEST_CASE("axes are those of the base without heads", "[tensor][layouts][latent]") {
  CHECK(layouts::latent_keys<>::axes == "[batch, seq, head_dim]");
  CHECK(layouts::latent_values<layouts::paged_hnd>::axes == "[num_blocks, block_size, head_dim]");
  CHECK(layouts::latent_keys<layouts::ragged>::axes == "[total_tokens, head_dim]");
}

TEST_CASE("a tensor narrower than the latent is refused", "[tensor][layouts][latent]") {
  CHECK(message_of<shape_error>([] {
          layouts::lower(layouts::latent().values, random_keys({2, 5, 500}), "test", "values");
        }) == "test: values: expected [batch, seq, head_dim], floating, got [2, 5, 500] Float on cpu");
}
