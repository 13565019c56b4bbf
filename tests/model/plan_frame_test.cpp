#include "model/plan_frame.hpp"

#include "kvtransfer/inject/prepend.hpp"
#include "kvtransfer/model/config_json.hpp"
#include "kvtransfer/model/generate.hpp"
#include "support/small_model.hpp"
#include "support/test.hpp"

using namespace kvtransfer;
using kvtransfer::detail::injected_frame;
using kvtransfer::detail::padded_ids;
using kvtransfer::detail::written_frame;
using namespace kvtransfer::test;

TEST_CASE("shorter rows are padded in front", "[model][plan_frame]") {
  CHECK(padded_ids({{1, 2, 3}, {4}}) == std::vector<std::vector<std::int64_t>>{{1, 2, 3}, {-1, -1, 4}});
}

TEST_CASE("a plan without injection has a frame without slots, whose text is known", "[model][plan_frame]") {
  const model_config config = model_config_from_json(small_config());
  const cache_frame frame = injected_frame(config, plan_of({{1, 2}, {3}}));
  CHECK(frame.is_empty());
  CHECK(frame.layers() == 3);
  CHECK(frame.token_ids().size() == 2);
}

TEST_CASE("an injected frame is the source's, shared between layers as there", "[model][plan_frame]") {
  const causal_lm model = small_model();
  const cache source = prefill(model, {some_tokens(5)});
  const cache_frame frame = injected_frame(model.config, prepend(source.view(), {{1, 2}}));
  CHECK(frame == source.stored());
  CHECK(frame.shared(0) == frame.shared(2));
}

TEST_CASE("what a model wrote is framed layer by layer in its specifications", "[model][plan_frame]") {
  std::vector<rotary_specification> rotary = rotary_specifications(model_config_from_json(small_config()));
  rotary[1].inv_freq[0] = 0.5F;
  const cache_frame frame = written_frame(rotary, position_map::consecutive(4, 2), {{8, 9}}, model_identity{"some model"});
  CHECK((frame.layer(1).specifications == std::vector{rotary[1]}));
  CHECK(frame.shared(0) == frame.shared(2));
  CHECK(frame.shared(0) != frame.shared(1));
  CHECK(frame.next_position() == 6);
  CHECK(frame.model().digest == "some model");
}
