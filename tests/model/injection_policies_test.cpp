// Every policy against `hand_made`, which knows none of them, in logits.

#include <functional>
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
#include "kvtransfer/inject/select/where.hpp"
#include "kvtransfer/model/generate.hpp"
#include "kvtransfer/model/plan_logits.hpp"
#include "kvtransfer/tensor/layouts/ragged.hpp"
#include "model/hand_made.hpp"
#include "support/message.hpp"
#include "support/small_model.hpp"
#include "support/test.hpp"

using namespace kvtransfer;
using namespace kvtransfer::test;

namespace {

using slot_test = hand_made::test_of_slot;

/// A source of ten tokens, another text's cache of as many, and a question.
struct two_caches {
  causal_lm model = small_model();
  cache source = prefill(model, {some_tokens(10)});
  cache other = prefill(model, {some_tokens(10, 5)});
  std::vector<std::int64_t> question = some_tokens(4, 3);

  [[nodiscard]] injection_context context() const {
    injection_context known;
    known.q_heads = model.config.q_heads;
    known.donors.emplace("other", other.view());
    known.spans["fact"] = {3, 3};
    return known;
  }
  [[nodiscard]] hand_made by_hand() const { return {model, source}; }
  [[nodiscard]] hand_made other_by_hand() const { return {model, other}; }
  [[nodiscard]] at::Tensor logits(const plan& input) const { return plan_logits(model, input); }
  [[nodiscard]] at::Tensor logits(const injection& what) const { return logits(prepend(what, {question})); }
  [[nodiscard]] injection parsed(const std::string& text) const {
    return injection(source.view(), context()) | injection_policy_registry::standard().parse(text);
  }

  /// Whether the policy that `text` says is what `construct` does by hand, the text behind what was there.
  void check(const std::string& text, const std::function<void(hand_made&)>& construct,
             std::optional<std::int64_t> first = std::nullopt) const {
    CAPTURE(text);
    hand_made expected = by_hand();
    construct(expected);
    const at::Tensor found = logits(parsed(text));
    CHECK(max_difference(found, logits(expected.before(question, first.value_or(expected.reach() + 1)))) < 1e-5);
    if (text != "all" && text != "kept" && text != "offset") {  // what changes nothing would pass for any other
      CHECK(max_difference(found, logits(injection(source.view()))) > 1e-3);
    }
  }
  void check_kept(const std::string& text, const slot_test& kept) const {
    check(text, [&](hand_made& expected) { expected.keep(kept); });
  }
};

}  // namespace

TEST_CASE("a selection hides what it leaves out, and moves nothing", "[model][injection_policies]") {
  const two_caches given;
  const auto layer = [](auto&& chosen) {
    return [=](std::int64_t i, std::int64_t, std::int64_t) { return chosen(i); };
  };
  const auto slot = [](auto&& chosen) { return [=](std::int64_t, std::int64_t, std::int64_t s) { return chosen(s); }; };
  given.check_kept("all", layer([](auto) { return true; }));
  given.check_kept("layers:0-1", layer([](auto i) { return i <= 1; }));
  given.check_kept("layers:0,2", layer([](auto i) { return i != 1; }));
  given.check_kept("layers:1-", layer([](auto i) { return i >= 1; }));
  given.check_kept("without-layers:2", layer([](auto i) { return i != 2; }));
  given.check_kept("heads:1", [](auto, auto head, auto) { return head == 1; });
  given.check_kept("heads:1.0,2.1",
                   [](auto i, auto head, auto) { return (i == 1 && head == 0) || (i == 2 && head == 1); });
  given.check_kept("without-heads:0.1", [](auto i, auto head, auto) { return i != 0 || head != 1; });
  given.check_kept("q-heads:3", [](auto, auto head, auto) { return head == 1; });
  given.check_kept("q-heads:1.0", [](auto i, auto head, auto) { return i == 1 && head == 0; });
  given.check_kept("tokens:2-5,8", slot([](auto s) { return (s >= 2 && s <= 5) || s == 8; }));
  given.check_kept("tokens:0-3", slot([](auto s) { return s <= 3; }));
  given.check_kept("without-tokens:0", slot([](auto s) { return s > 0; }));
  given.check_kept("span:fact", slot([](auto s) { return s >= 3 && s < 6; }));
  given.check_kept("after:fact", slot([](auto s) { return s >= 6; }));
  given.check_kept("after:0-1", slot([](auto s) { return s >= 2; }));
  given.check_kept("without-span:3-5", slot([](auto s) { return s < 3 || s >= 6; }));
  given.check_kept("layers:1+heads:0+tokens:4-",
                   [](auto i, auto head, auto s) { return i == 1 && head == 0 && s >= 4; });
}

TEST_CASE("a function selects slot by slot", "[model][injection_policies]") {
  const two_caches given;
  const auto odd = [](std::int64_t layer, std::int64_t head, std::int64_t slot) {
    return (layer + head + slot) % 2 == 1;
  };
  const injection what = given.source.view() | where("odd", [&](const slot_address& key) {
                           return odd(key.layer, key.kv_head, key.position);
                         });
  hand_made expected = given.by_hand();
  expected.keep(odd);
  CHECK(describe(what) == "where:odd");
  CHECK(max_difference(given.logits(what), given.logits(expected.before(given.question, 10))) < 1e-5);

  const injection fives = given.source.view() | where("id", [&](const slot_address& key) {
                            return key.token_id == given.source.view().frame().token_ids()[0][7];
                          });
  hand_made seventh = given.by_hand();
  const auto ids = given.source.view().frame().token_ids()[0];
  seventh.keep([&](auto, auto, std::int64_t slot) { return ids[static_cast<std::size_t>(slot)] == ids[7]; });
  CHECK(max_difference(given.logits(fives), given.logits(seventh.before(given.question, 10))) < 1e-5);
}

TEST_CASE("keys alone and values alone take the other half from a donor", "[model][injection_policies]") {
  const two_caches given;
  const hand_made other = given.other_by_hand();
  const slot_test all = [](auto...) { return true; };
  given.check("keys", [&](hand_made& expected) { expected.take(nullptr, false, true, all); });
  given.check("keys:other", [&](hand_made& expected) { expected.take(&other, false, true, all); });
  given.check("values", [&](hand_made& expected) { expected.take(nullptr, true, false, all); });
  given.check("values:other", [&](hand_made& expected) { expected.take(&other, true, false, all); });
  given.check("layers:1+keys:other", [&](hand_made& expected) {
    expected.take(&other, false, true, all);
    expected.keep([](auto i, auto...) { return i == 1; });
  });
}

TEST_CASE("what is left out comes from a donor where that is asked for", "[model][injection_policies]") {
  const two_caches given;
  const hand_made other = given.other_by_hand();
  given.check("layers:0-1:other",
              [&](hand_made& expected) { expected.take(&other, true, true, [](auto i, auto...) { return i == 2; }); });
  given.check("heads:0:zero", [&](hand_made& expected) {
    expected.take(nullptr, true, true, [](auto, auto head, auto) { return head == 1; });
  });
  given.check("without-heads:1.0:other.keys", [&](hand_made& expected) {
    expected.take(&other, true, false, [](auto i, auto head, auto) { return i == 1 && head == 0; });
  });
  given.check("tokens:4-:other.values", [&](hand_made& expected) {
    expected.take(&other, false, true, [](auto, auto, auto slot) { return slot < 4; });
  });
}

TEST_CASE("text and keys stand where a policy puts them", "[model][injection_policies]") {
  const two_caches given;
  const auto nothing = [](hand_made&) {};
  given.check("kept", nothing);
  given.check("offset", nothing);
  given.check("restart", nothing, 0);
  given.check("gap:7", nothing, 17);
  given.check("at:4", nothing, 4);
  given.check(
      "tokens:0-3+gap:2", [](hand_made& expected) { expected.keep([](auto, auto, auto s) { return s < 4; }); }, 12);
  given.check("shift:-3", [](hand_made& expected) { expected.shift(-3); });
  given.check("shift:5", [](hand_made& expected) { expected.shift(5); });
  given.check("unrotated", [](hand_made& expected) { expected.stand_at_zero(); });
  given.check("tokens:1-2,6+closed", [](hand_made& expected) {
    expected.keep([](auto, auto, auto s) { return s == 1 || s == 2 || s == 6; });
    expected.close();
  });
  given.check("without-heads:1.0+tokens:5-+closed", [](hand_made& expected) {
    expected.keep([](auto i, auto head, auto s) { return (i != 1 || head != 0) && s >= 5; });
    expected.close();
  });
}

TEST_CASE("keys that were moved meet those of a donor where they stand", "[model][injection_policies]") {
  const two_caches given;
  const hand_made other = given.other_by_hand();
  given.check("tokens:3-+closed+values:other", [&](hand_made& expected) {
    expected.keep([](auto, auto, auto s) { return s >= 3; });
    expected.close();
    expected.take(&other, true, false, [](auto...) { return true; });
  });
}

TEST_CASE("a policy that selects everything changes no bit", "[model][injection_policies]") {
  const two_caches given;
  const at::Tensor expected = given.logits(prepend(given.source.view(), {given.question}));
  for (const char* text :
       {"all", "layers:0-2", "layers:0-", "heads:0-1", "q-heads:0-3", "tokens:0-", "tokens:0-9", "span:0-9", "kept",
        "offset", "gap:0", "at:10", "layers:0-:zero", "heads:0-1:other.keys", "shift:0", "closed"}) {
    CAPTURE(text);
    CHECK(max_difference(given.logits(given.parsed(text)), expected) == 0);
  }
  CHECK(max_difference(given.logits(given.source.view() | keys_only(given.source.view())), expected) == 0);
  CHECK(max_difference(given.logits(given.source.view() | values_only(given.source.view())), expected) == 0);
}

TEST_CASE("what a policy leaves out takes no slot of the plan", "[model][injection_policies]") {
  const two_caches given;
  const plan narrow = prepend(given.parsed("layers:1+tokens:2-4,7"), {given.question});
  CHECK(narrow.segments(0).empty());
  CHECK(narrow.segments(2).empty());
  CHECK(narrow.injected(1) == 4);
  CHECK(narrow.segments(1)[0].kv().frame().positions.row(0, 0, 0) == position_row::listed({2, 3, 4, 7}));
  const auto ids = given.source.view().frame().token_ids()[0];
  CHECK(narrow.segments(1)[0].origin().token_ids() ==
        std::vector<std::vector<std::int64_t>>{{ids[2], ids[3], ids[4], ids[7]}});
  CHECK(narrow.positions == position_map::consecutive(10, 4));
  const auto left = generate(given.model, narrow, {.max_new_tokens = 2}).sequences[0].token_ids;
  CHECK(left.size() == 2);
}

TEST_CASE("layers that are cut alike share a frame", "[model][injection_policies]") {
  const two_caches given;
  const plan narrow = prepend(given.parsed("tokens:2-4"), {given.question});
  CHECK(narrow.segments(0)[0].kv().shared_frame() == narrow.segments(2)[0].kv().shared_frame());
  CHECK(narrow.segments(0)[0].kv().keys().data_ptr() == given.source.view().layer(0).keys().slice(2, 2, 5).data_ptr());
}

TEST_CASE("policies serve a batch, and one source many texts", "[model][injection_policies]") {
  const two_caches given;
  const auto policy = injection_policy_registry::standard().parse("layers:0-1+tokens:3-+keys:other+gap:2");
  const plan batched =
      prepend(injection(given.source.view(), given.context()) | policy, {given.question, some_tokens(2, 8)});
  const at::Tensor logits = given.logits(batched);
  const at::Tensor alone = given.logits(injection(given.source.view(), given.context()) | policy);
  CHECK(max_difference(logits[0], alone[0]) < 1e-5);

  const cache rows = prefill(given.model, {some_tokens(10), some_tokens(7, 2)});
  const plan ragged = prepend(rows.view() | tokens(4, 9) | place::closed{}, {given.question, given.question});
  const cache second = prefill(given.model, {some_tokens(7, 2)});
  const at::Tensor by_row = given.logits(ragged);
  CHECK(max_difference(by_row[0], given.logits(given.source.view() | tokens(4, 9) | place::closed{})[0]) < 1e-5);
  CHECK(max_difference(by_row[1], given.logits(second.view() | tokens(1, 6) | place::closed{})[0]) < 1e-5);
}

TEST_CASE("every change of numbers is an edit of the frame", "[model][injection_policies]") {
  const two_caches given;
  const auto edits = [&](const std::string& text) {
    std::vector<std::string> all;
    for (const cache_edit& edit : prepend(given.parsed(text), {given.question}).edits()) {
      all.push_back(describe(edit));
    }
    return all;
  };
  const std::string other = "from other: a cache of model " + given.model.identity.digest.text();
  CHECK(edits("layers:1+tokens:2-4+closed+gap:3").empty());
  CHECK(edits("keys") == std::vector<std::string>{"half in values, layers 0-2, slots 0-9, from zeros"});
  CHECK(edits("layers:1-2+values:other") == std::vector<std::string>{"half in keys, layers 1-2, slots 0-9, " + other});
  CHECK(edits("without-heads:1.0:other") ==
        std::vector<std::string>{"mixture in keys and values, layers 1, heads 0, slots 0-9, " + other});
  CHECK(edits("tokens:4-:other.keys+tokens:2-6") ==
        std::vector<std::string>{"half in keys, layers 0-2, slots 0-1, " + other});
}

TEST_CASE("a query head's policy says which KV head serves it, and who shares that", "[model][injection_policies]") {
  const two_caches given;
  CHECK(given.parsed("q-heads:3").notes ==
        std::vector<std::string>{"query head 3 reads KV head 1, as do all of query heads 2-3"});
  CHECK(given.parsed("layers:1").notes.empty());
}

TEST_CASE("what a policy needs and the caches lack is refused by name", "[model][injection_policies]") {
  const two_caches given;
  const auto refusal = [&](const std::string& text) {
    return message_of<error>([&] { static_cast<void>(given.parsed(text)); });
  };
  CHECK(refusal("layers:2-4") == "layers:2-4: layers: expected layers below 3, got 4");
  CHECK(refusal("layers:7-") == "layers:7-: layers: expected layers below 3, got 7");
  CHECK(refusal("heads:2") == "heads:2: KV heads: expected KV heads below 2, got 2");
  CHECK(refusal("heads:3.0") == "heads:3.0: layers: expected layers below 3, got 3");
  CHECK(refusal("q-heads:4") == "q-heads:4: query heads: expected query heads below 4, got 4");
  CHECK(refusal("tokens:10") == "tokens:10: tokens: expected tokens below 10, got 10");
  CHECK(refusal("span:name") == "span:name: span: expected one of fact, got name");
  CHECK(refusal("after:fact+after:5-20") == "after:5-20: span: expected slots below 10, got [5, 21)");
  CHECK(refusal("layers:1+without-layers:1") ==
        "without-layers:1: selection: expected something to be left of what is injected, got nothing");
  CHECK(refusal("keys:target") == "keys:target: donor: expected one of zero, other, got target");
  const cache longer = prefill(given.model, {some_tokens(11)});
  CHECK(
      message_of<shape_error>([&] { given.source.view() | keys_only(longer.view()); }) ==
      "keys:given: layer 0 of the donor: expected [batch=1, kv_heads=2, seq=10, head_dim=16] Float, slot by slot, got "
      "[batch=1, kv_heads=2, seq=11, head_dim=16] Float");
  const causal_lm another = small_model(2);
  const cache foreign = prefill(another, {some_tokens(10)});
  CHECK_THROWS_AS(given.source.view() | keys_only(foreign.view()), frame_error);
  CHECK_THROWS_AS(given.source.view() | query_heads(0, 0), value_error);  // nobody has said how many there are
}

TEST_CASE("a donor with fewer keys than the source is refused, with more it is cut", "[model][injection_policies]") {
  const two_caches given;
  const injection narrow = given.source.view() | tokens(2, 5);
  CHECK_THROWS_AS(given.other.view() | keys_only(narrow.kv), frame_error);
  CHECK_NOTHROW(narrow | keys_only(given.other.view()));
}
