#include "kvtransfer/model/attention_cosine.hpp"

#include <ATen/ops/ones.h>

#include <cstdint>
#include <vector>

#include "kvtransfer/cache/edited.hpp"
#include "kvtransfer/model/generate.hpp"
#include "support/message.hpp"
#include "support/small_model.hpp"
#include "support/test.hpp"

using namespace kvtransfer;
using namespace kvtransfer::test;

namespace {

/// `source` with the values of one layer multiplied by `factor`, from slot `first` on.
cache with_values(const cache_view<>& source, std::int64_t layer, std::int64_t first, double factor) {
  std::vector<at::Tensor> keys;
  std::vector<at::Tensor> values;
  for (std::int64_t i = 0; i < source.layers(); ++i) {
    keys.push_back(source.layer(i).keys());
    values.push_back(source.layer(i).values().clone());
  }
  values[static_cast<std::size_t>(layer)].slice(2, first).mul_(factor);
  return edited(source, std::move(keys), std::move(values),
                {edit_kind::other, cache_half::values, {}, {}, {}, "a test"});
}

}  // namespace

TEST_CASE("a cache is wholly like itself, and each layer is measured for itself", "[model][attention_cosine]") {
  const causal_lm model = small_model();
  const cache source = prefill(model, {some_tokens(9)});
  const std::vector<std::int64_t> text = some_tokens(4, 1);
  const at::Tensor same = attention_cosine(model, source.view(), source.view(), text);
  CHECK(same.sizes() == at::IntArrayRef({3, 4}));
  CHECK(max_difference(same, at::ones({3, 4})) < 1e-6);
  const cache changed = with_values(source.view(), 1, 0, -1);
  const at::Tensor other = attention_cosine(model, source.view(), changed.view(), text);
  CHECK(max_difference(other[0], at::ones({4})) < 1e-6);
  CHECK(max_difference(other[2], at::ones({4})) < 1e-6);
  CHECK(other[1].max().item<double>() < 0.9);
}

TEST_CASE("the cosine is that of sums of values by weights", "[model][attention_cosine]") {
  // Values that are all the same but for their length leave attention its direction, whatever the weights are.
  const causal_lm model = small_model();
  const cache source = prefill(model, {some_tokens(9)});
  const std::vector<std::int64_t> text = some_tokens(1, 1);
  const cache longer = with_values(source.view(), 0, 0, 3);
  const at::Tensor found = attention_cosine(model, source.view(), longer.view(), text)[0];
  CHECK(found.min().item<double>() > 0.5);  // the text's own token alone keeps its length
  CHECK(found.max().item<double>() < 1 - 1e-6);
}

TEST_CASE("caches that do not stand slot by slot are refused", "[model][attention_cosine]") {
  const causal_lm model = small_model();
  const cache source = prefill(model, {some_tokens(9)});
  const cache shorter = prefill(model, {some_tokens(8)});
  const cache two = prefill(model, {some_tokens(9), some_tokens(9, 2)});
  CHECK_THAT(message_of<shape_error>(
                 [&] { static_cast<void>(attention_cosine(model, source.view(), shorter.view(), some_tokens(2))); }),
             StartsWith("attention_cosine: other: layer 0: expected [1, 2, 9, 16]"));
  CHECK_THAT(message_of<shape_error>(
                 [&] { static_cast<void>(attention_cosine(model, two.view(), two.view(), some_tokens(2))); }),
             StartsWith("attention_cosine: expected: expected a cache of one sequence, got 2"));
}
