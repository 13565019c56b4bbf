// What policies add from other caches, and any two or three policies at random, against `hand_made`, in logits.

#include <ATen/ops/allclose.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <random>
#include <string>
#include <vector>

#include "kvtransfer/inject/compose/blend.hpp"
#include "kvtransfer/inject/compose/join.hpp"
#include "kvtransfer/inject/injection_policy_registry.hpp"
#include "kvtransfer/inject/keys_values.hpp"
#include "kvtransfer/inject/place_keys.hpp"
#include "kvtransfer/inject/position_policies.hpp"
#include "kvtransfer/inject/prepend.hpp"
#include "kvtransfer/inject/select/heads.hpp"
#include "kvtransfer/inject/select/layers.hpp"
#include "kvtransfer/inject/select/tokens.hpp"
#include "kvtransfer/model/generate.hpp"
#include "kvtransfer/model/plan_logits.hpp"
#include "model/hand_made.hpp"
#include "support/message.hpp"
#include "support/small_model.hpp"
#include "support/test.hpp"

using namespace kvtransfer;
using namespace kvtransfer::test;

namespace {

/// A source of ten tokens, another cache of as many, one of four, and a question.
struct three_caches {
  causal_lm model = small_model();
  cache source = prefill(model, {some_tokens(10)});
  cache other = prefill(model, {some_tokens(10, 5)});
  cache target = prefill(model, {some_tokens(4, 9)});
  std::vector<std::int64_t> question = some_tokens(4, 3);
  hand_made source_by_hand{model, source};
  hand_made other_by_hand{model, other};
  hand_made target_by_hand{model, target};

  [[nodiscard]] injection_context context() const {
    injection_context known;
    known.q_heads = model.config.q_heads;
    known.donors.emplace("other", other.view());
    known.donors.emplace("target", target.view());
    return known;
  }
  [[nodiscard]] at::Tensor logits(const plan& input) const { return plan_logits(model, input); }
  [[nodiscard]] at::Tensor logits(const injection& what) const { return logits(prepend(what, {question})); }
  [[nodiscard]] injection parsed(const std::string& text) const {
    return injection(source.view(), context()) | injection_policy_registry::standard().parse(text);
  }
  [[nodiscard]] at::Tensor logits(const hand_made& expected) const {
    return logits(expected.before(question, expected.reach() + 1));
  }

  void check(const std::string& text, const std::function<void(hand_made&)>& construct) const {
    CAPTURE(text);
    hand_made expected = source_by_hand;
    construct(expected);
    const at::Tensor found = logits(parsed(text));
    CHECK(max_difference(found, logits(expected)) < 1e-5);
    CHECK(max_difference(found, logits(injection(source.view()))) > 1e-3);
  }
};

/// One policy as text, what it does by hand, and what has to be so for it not to be refused.
struct drawn_policy {
  std::string text;
  std::string decides;  // what at most one policy decides; empty for the others
  bool beside = false;  // takes something slot by slot from a donor of ten
  std::function<void(hand_made&)> construct;
  std::function<std::int64_t(std::int64_t reach)> first = nullptr;  // of the text
};

/// Draws policies, all of which fit a cache of `size` slots.
class policy_lottery {
 public:
  policy_lottery(const three_caches& given, std::uint32_t seed) : given_(&given), random_(seed) {}

  [[nodiscard]] std::int64_t below(std::int64_t n) {
    return static_cast<std::int64_t>(random_() % static_cast<std::uint32_t>(n));
  }

  [[nodiscard]] drawn_policy draw(std::int64_t size) {
    const hand_made* other = &given_->other_by_hand;
    const hand_made* target = &given_->target_by_hand;
    const std::int64_t one = below(3);
    switch (below(16)) {
      case 0:
        return selection(fmt::format("layers:{}", one), [i = one](auto layer, auto, auto) { return layer == i; });
      case 1:
        return selection(fmt::format("heads:{}.1", one),
                         [i = one](auto layer, auto head, auto) { return layer == i && head == 1; });
      case 2:
        return selection("q-heads:1", [](auto, auto head, auto) { return head == 0; });
      case 3:
      case 4: {
        const std::int64_t first = below(size);
        const std::int64_t last = first + below(size - first);
        return selection(fmt::format("tokens:{}-{}", first, last),
                         [=](auto, auto, auto slot) { return first <= slot && slot <= last; });
      }
      case 5: {
        const bool zero = below(2) == 0;
        return {zero ? "keys" : "keys:other", "half", !zero,
                [=](hand_made& made) { made.take(zero ? nullptr : other, false, true, [](auto...) { return true; }); }};
      }
      case 6: {
        const bool zero = below(2) == 0;
        return {zero ? "values" : "values:other", "half", !zero,
                [=](hand_made& made) { made.take(zero ? nullptr : other, true, false, [](auto...) { return true; }); }};
      }
      case 7: {
        const double alpha = static_cast<double>(below(9)) / 4 - 0.5;
        return {fmt::format("blend:{}:other", alpha), "", true,
                [=](hand_made& made) { made.blend(other, alpha, 1 - alpha, true, true); }};
      }
      case 8: {
        const double alpha = static_cast<double>(below(9)) / 4 - 1;
        return {fmt::format("add:{}:other.values", alpha), "", true,
                [=](hand_made& made) { made.blend(other, 1, alpha, false, true); }};
      }
      case 9:
        return {"average:other", "", true, [=](hand_made& made) { made.blend(other, 0.5, 0.5, true, true); }};
      case 10: {
        const std::int64_t slot = below(size + 1);
        return {fmt::format("insert:{}:target", slot), "", false,
                [=](hand_made& made) { made.splice(*target, slot, slot); }};
      }
      case 11: {
        const std::int64_t first = below(size);
        const std::int64_t last = first + below(size - first);
        return {fmt::format("replace:{}-{}:target", first, last), "", false,
                [=](hand_made& made) { made.splice(*target, first, last + 1); }};
      }
      case 12:
        return below(2) == 0
                   ? drawn_policy{"prepend:other", "", false, [=](hand_made& made) { made.splice(*other, 0, 0); }}
                   : drawn_policy{"append:target", "", false,
                                  [=](hand_made& made) { made.splice(*target, made.size(), made.size()); }};
      case 13:
        return {"interleave:other", "", true, [=](hand_made& made) { made.interleave(*other); }};
      case 14: {
        switch (below(4)) {
          case 0:
            return {"closed", "keys' place", false, [](hand_made& made) { made.close(); }};
          case 1:
            return {"unrotated", "keys' place", false, [](hand_made& made) { made.stand_at_zero(); }};
          case 2:
            return {"shift:-2", "keys' place", false, [](hand_made& made) { made.shift(-2); }};
          default:
            return {"kept", "keys' place", false, [](hand_made&) {}};
        }
      }
      default: {
        switch (below(3)) {
          case 0:
            return {"restart", "text's place", false, [](hand_made&) {}, [](std::int64_t) { return std::int64_t{0}; }};
          case 1:
            return {"at:6", "text's place", false, [](hand_made&) {}, [](std::int64_t) { return std::int64_t{6}; }};
          default:
            return {"gap:3", "text's place", false, [](hand_made&) {}, [](std::int64_t reach) { return reach + 4; }};
        }
      }
    }
  }

 private:
  /// What is named or all but it, and the rest not there or from a donor.
  drawn_policy selection(const std::string& text, const hand_made::test_of_slot& chosen) {
    const bool without = below(2) == 0;
    const auto kept = [=](std::int64_t layer, std::int64_t head, std::int64_t slot) {
      return chosen(layer, head, slot) != without;
    };
    const std::string named = (without ? "without-" : "") + text;
    if (below(3) > 0) {
      return {named, "", false, [=](hand_made& made) { made.keep(kept); }};
    }
    const hand_made* other = &given_->other_by_hand;
    const bool values = below(2) == 0;
    return {named + (values ? ":other.values" : ":other"), "", true, [=](hand_made& made) {
              made.take(other, !values, true,
                        [=](auto layer, auto head, auto slot) { return !kept(layer, head, slot); });
            }};
  }

  const three_caches* given_;
  std::mt19937 random_;
};

}  // namespace

TEST_CASE("blends mix number by number, keys where the source's stand", "[model][injection_compositions]") {
  const three_caches given;
  const hand_made* other = &given.other_by_hand;
  given.check("blend:0.25:other", [=](hand_made& made) { made.blend(other, 0.25, 0.75, true, true); });
  given.check("blend:0:other", [=](hand_made& made) { made.blend(other, 0, 1, true, true); });
  given.check("blend:0.5:zero", [=](hand_made& made) { made.blend(nullptr, 0.5, 0, true, true); });
  given.check("blend:0.5:other.keys", [=](hand_made& made) { made.blend(other, 0.5, 0.5, true, false); });
  given.check("add:-0.5:other", [=](hand_made& made) { made.blend(other, 1, -0.5, true, true); });
  given.check("add:2:other.values", [=](hand_made& made) { made.blend(other, 1, 2, false, true); });
  given.check("average:other", [=](hand_made& made) { made.blend(other, 0.5, 0.5, true, true); });
  given.check("average:other,zero", [=](hand_made& made) { made.blend(other, 1 / 3.0, 1 / 3.0, true, true); });
  given.check("tokens:2-6+closed+blend:0.5:other", [=](hand_made& made) {
    made.keep([](auto, auto, auto slot) { return slot >= 2 && slot <= 6; });
    made.close();
    made.blend(other, 0.5, 0.5, true, true);
  });
}

TEST_CASE("a direction is what leads from one cache to another", "[model][injection_compositions]") {
  const three_caches given;
  const cache_view<> towards = compose::direction(given.source.view(), given.other.view());
  const at::Tensor arrived = given.logits(given.source.view() | compose::add{1, towards});
  CHECK(max_difference(arrived, given.logits(injection(given.other.view()))) < 1e-5);
  const at::Tensor half_way = given.logits(given.source.view() | compose::add{0.5, towards});
  CHECK(max_difference(half_way, given.logits(given.parsed("blend:0.5:other"))) < 1e-5);
}

TEST_CASE("what blends with itself, or with weight 1, changes no bit", "[model][injection_compositions]") {
  const three_caches given;
  const at::Tensor expected = given.logits(injection(given.source.view()));
  for (const char* text : {"blend:1:other", "blend:1:zero", "blend:1:other.values", "add:0:other", "add:3:zero"}) {
    CAPTURE(text);
    CHECK(max_difference(given.logits(given.parsed(text)), expected) == 0);
  }
  CHECK(max_difference(given.logits(given.source.view() | compose::blend{0.5, given.source.view()}), expected) == 0);
  CHECK(max_difference(given.logits(given.source.view() | compose::average{{given.source.view()}}), expected) == 0);
}

TEST_CASE("caches join in order, each where the one in front of it ends", "[model][injection_compositions]") {
  const three_caches given;
  const hand_made& other = given.other_by_hand;
  const hand_made& target = given.target_by_hand;
  given.check("prepend:target", [&](hand_made& made) { made.splice(target, 0, 0); });
  given.check("append:target", [&](hand_made& made) { made.splice(target, 10, 10); });
  given.check("append:target+append:other", [&](hand_made& made) {
    made.splice(target, 10, 10);
    made.splice(other, 14, 14);
  });
  given.check("insert:3:target", [&](hand_made& made) { made.splice(target, 3, 3); });
  given.check("insert:0:target", [&](hand_made& made) { made.splice(target, 0, 0); });
  given.check("insert:10:target", [&](hand_made& made) { made.splice(target, 10, 10); });
  given.check("replace:2-8:target", [&](hand_made& made) { made.splice(target, 2, 9); });
  given.check("replace:9:target", [&](hand_made& made) { made.splice(target, 9, 10); });
  given.check("interleave:other", [&](hand_made& made) { made.interleave(other); });
  given.check("tokens:4-9+prepend:target", [&](hand_made& made) {
    made.keep([](auto, auto, auto slot) { return slot >= 4; });
    made.splice(target, 0, 0);
  });
}

TEST_CASE("a source appended to its own prefix at the same text is that text", "[model][injection_compositions]") {
  const three_caches given;
  const cache whole = prefill(given.model, {joined(some_tokens(10), some_tokens(4, 9))});
  const cache_view<> head = whole.view().slice(0, 10);
  cache tail(whole.view().slice(10, 14));
  tail.shift(-10);
  const injection again = head | compose::append{tail.view()};
  CHECK(max_difference(given.logits(again), given.logits(injection(whole.view()))) < 1e-5);
  const plan input = prepend(again, {given.question});
  CHECK(input.positions == position_map::consecutive(14, 4));
  CHECK(input.segments(0)[0].origin().token_ids() == whole.view().frame().token_ids());
}

TEST_CASE("what other caches add is an edit of the frame", "[model][injection_compositions]") {
  const three_caches given;
  const auto edits = [&](const std::string& text) {
    std::vector<std::string> all;
    for (const cache_edit& edit : prepend(given.parsed(text), {given.question}).edits()) {
      all.push_back(describe(edit));
    }
    return all;
  };
  const std::string model = "a cache of model " + given.model.identity.digest.text();
  CHECK(edits("insert:3:target") ==
        std::vector<std::string>{"mixture in keys and values, layers 0-2, slots 3-6, from target: " + model});
  CHECK(edits("append:target+tokens:8-11") ==
        std::vector<std::string>{"mixture in keys and values, layers 0-2, slots 2-3, from target: " + model});
  CHECK(edits("layers:1+blend:0.25:other.keys") ==
        std::vector<std::string>{"blend in keys, layers 1, slots 0-9, from 0.25 times it and 0.75 times other: " +
                                 model});
}

TEST_CASE("gradients flow through blends into both caches", "[model][injection_compositions]") {
  const three_caches given;
  const auto leaves_of = [](const cache& kv) {
    std::vector<at::Tensor> leaves;
    for (std::int64_t i = 0; i < kv.layers(); ++i) {
      leaves.push_back(kv.view().layer(i).keys().clone().requires_grad_());
      leaves.push_back(kv.view().layer(i).values().clone().requires_grad_());
    }
    return leaves;
  };
  const auto view_of = [](const std::vector<at::Tensor>& leaves, const cache& like) {
    std::vector<at::Tensor> keys;
    std::vector<at::Tensor> values;
    for (std::size_t i = 0; i < leaves.size(); i += 2) {
      keys.push_back(leaves[i]);
      values.push_back(leaves[i + 1]);
    }
    return cache_view<>(keys, values, like.view().frame(), as_written);
  };
  cache moved = given.other.clone();
  moved.shift(7);
  moved.materialize();
  const std::vector<at::Tensor> mine = leaves_of(given.source);
  const std::vector<at::Tensor> theirs = leaves_of(moved);
  const auto score = [&](const cache_view<>& source, const cache_view<>& other) {
    return given.logits(source | compose::blend{0.25, other})[0][3][5];
  };
  score(view_of(mine, given.source), view_of(theirs, moved)).backward();
  for (std::size_t i = 0; i < mine.size(); ++i) {
    CAPTURE(i);
    CHECK(mine[i].grad().abs().max().item<double>() > 1e-6);
    if (i % 2 == 1) {  // values are not moved: their gradients are those of the blend, by weight
      CHECK(at::allclose(theirs[i].grad() * 0.25, mine[i].grad() * 0.75, 1e-4, 1e-7));
    } else {  // keys are: the gradient of a move is the move back, which changes no length
      CHECK(at::allclose((theirs[i].grad() * 0.25).norm(2, -1), (mine[i].grad() * 0.75).norm(2, -1), 1e-4, 1e-6));
      CHECK(max_difference(theirs[i].grad() * 0.25, mine[i].grad() * 0.75) > 1e-6);
    }
  }
}

TEST_CASE("policies that have no meaning together are refused by name", "[model][injection_compositions]") {
  const three_caches given;
  const auto refusal = [&](const std::string& text) {
    return message_of<error>([&] { static_cast<void>(given.parsed(text)); });
  };
  CHECK_THAT(refusal("blend:0.5:target"), StartsWith("blend:0.5:target: layer 0 of the donor: expected [batch=1, "));
  CHECK_THAT(refusal("append:target+blend:0.5:other"), StartsWith("blend:0.5:other: layer 0 of the donor: "));
  CHECK_THAT(refusal("interleave:target"), StartsWith("interleave:target: layer 0 of the donor: "));
  CHECK_THAT(refusal("average:other,target"), StartsWith("average:other,target: layer 0 of the donor: "));
  CHECK(refusal("insert:11:other") == "insert:11:other: slots: expected 0 <= begin <= end <= 10, got [11, 11)");
  CHECK_THAT(refusal("replace:8-10:other"), StartsWith("replace:8-10:other: slots: "));
  CHECK_THAT(refusal("append:zero"),
             EndsWith("expected a cache, as zeros have no length, as in append:other, got \"zero\""));
  CHECK(message_of<value_error>([&] { given.source.view() | compose::append{donor::zero()}; }) ==
        "append:zero: donor: expected a cache, as zeros have no length, got zero");
  CHECK_THROWS_AS(given.source.view() | compose::average{}, value_error);
  CHECK_THROWS_AS((given.source.view() | compose::blend{std::nan(""), given.other.view()}), value_error);
  const causal_lm another = small_model(2);
  const cache foreign = prefill(another, {some_tokens(10)});
  CHECK_THROWS_AS((given.source.view() | compose::blend{0.5, foreign.view()}), frame_error);
  CHECK_THROWS_AS(given.source.view() | compose::append{foreign.view()}, frame_error);
}

TEST_CASE("any two or three policies are what they are by hand, or are refused", "[model][injection_compositions]") {
  const three_caches given;
  policy_lottery lottery(given, 11);
  int equal = 0;
  int refused = 0;
  for (int i = 0; i < 300; ++i) {
    hand_made expected = given.source_by_hand;
    std::string text;
    std::vector<std::string> decided;
    std::function<std::int64_t(std::int64_t)> first = [](std::int64_t reach) { return reach + 1; };
    bool meaningless = false;
    for (std::int64_t count = 2 + lottery.below(2); count > 0 && !meaningless; --count) {
      const drawn_policy policy = lottery.draw(expected.size());
      text += (text.empty() ? "" : "+") + policy.text;
      const bool again = std::ranges::find(decided, policy.decides) != decided.end();
      meaningless = (again && !policy.decides.empty()) || (policy.beside && expected.size() != 10);
      if (!meaningless) {
        decided.push_back(policy.decides);
        first = policy.first ? policy.first : first;
        policy.construct(expected);
        meaningless = !expected.has_any();
      }
    }
    CAPTURE(text);
    if (meaningless) {
      ++refused;
      CHECK_THROWS_AS(given.parsed(text), error);
    } else {
      ++equal;
      const at::Tensor by_hand = given.logits(expected.before(given.question, first(expected.reach())));
      CHECK(max_difference(given.logits(given.parsed(text)), by_hand) < 1e-5);
      CHECK(describe(injection_policy_registry::standard().parse(text)) == describe(given.parsed(text)));
    }
  }
  CHECK(equal > 200);
  CHECK(refused > 20);
}
