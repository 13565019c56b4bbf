#include "kvtransfer/model/attention_cosine.hpp"

#include <ATen/OpMathType.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/cosine_similarity.h>
#include <ATen/ops/stack.h>
#include <fmt/format.h>

#include "kvtransfer/core/error.hpp"
#include "kvtransfer/inject/prepend.hpp"
#include "kvtransfer/tensor/checks.hpp"
#include "model/attention.hpp"
#include "model/plan_pass.hpp"

namespace kvtransfer {

at::Tensor attention_cosine(const causal_lm& model, const cache_view<>& expected, const cache_view<>& other,
                            const std::vector<std::int64_t>& text) {
  require<shape_error>(expected.batch() == 1, "attention_cosine", "expected", "a cache of one sequence",
                       [&] { return fmt::format("{}", expected.batch()); });
  require_count<shape_error>(other.layers(), expected.layers(), "attention_cosine", "other",
                             "{} layers, as expected has");
  for (std::int64_t i = 0; i < expected.layers(); ++i) {
    const at::Tensor wanted = expected.layer(i).keys();
    const at::Tensor given = other.layer(i).keys();
    require<shape_error>(
        given.sizes() == wanted.sizes(), "attention_cosine", formatted("other: layer {}", i),
        [&] { return describe(wanted); }, [&] { return describe(given); });
  }
  std::vector<at::Tensor> cosines;
  const auto add = [&](const detail::layer_attention& at_work) {
    const auto behind = [&](const layer_view<>& cached) {
      return detail::attend(at_work.how, at_work.q, at::cat({cached.keys().to(at_work.k.scalar_type()), at_work.k}, 2),
                            at::cat({cached.values().to(at_work.v.scalar_type()), at_work.v}, 2), at_work.seen);
    };
    const at::Tensor right = behind(expected.layer(at_work.layer));
    const at::Tensor found = behind(other.layer(at_work.layer));
    const at::ScalarType exact = at::toOpMathType(right.scalar_type());
    cosines.push_back(at::cosine_similarity(right.to(exact), found.to(exact), -1)[0].mean(-1));
  };
  static_cast<void>(detail::plan_states(model, prepend(expected, {text}), add));
  return at::stack(cosines);
}

}  // namespace kvtransfer
