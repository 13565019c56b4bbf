#include "kvtransfer/inject/injection_policy_registry.hpp"

#include <algorithm>
#include <random>
#include <string>
#include <vector>

#include "kvtransfer/inject/compose/join.hpp"
#include "kvtransfer/inject/keys_values.hpp"
#include "kvtransfer/inject/place_keys.hpp"
#include "kvtransfer/inject/position_policies.hpp"
#include "kvtransfer/inject/select/heads.hpp"
#include "kvtransfer/inject/select/layers.hpp"
#include "kvtransfer/inject/select/tokens.hpp"
#include "kvtransfer/inject/select/where.hpp"
#include "support/message.hpp"
#include "support/test.hpp"

using namespace kvtransfer;
using namespace kvtransfer::test;

namespace {

std::string parsed(const std::string& text) { return describe(injection_policy_registry::standard().parse(text)); }

std::string refusal(const std::string& text) {
  return message_of<value_error>([&] { static_cast<void>(injection_policy_registry::standard().parse(text)); });
}

}  // namespace

TEST_CASE("a policy prints as it is parsed", "[inject][injection_policy_registry]") {
  for (const char* text : {"all",
                           "layers:2-4",
                           "layers:0,2-4,7-",
                           "heads:0-1",
                           "heads:0,3.1,5.0-2",
                           "q-heads:5",
                           "q-heads:3.5",
                           "tokens:0-3,7",
                           "span:fact",
                           "span:3-7",
                           "after:fact",
                           "after:3",
                           "without-layers:2",
                           "without-heads:3.1",
                           "without-tokens:0",
                           "layers:2-4:other",
                           "layers:2-4:zero",
                           "without-heads:3.1:other.keys",
                           "heads:1:target.values",
                           "keys",
                           "keys:other",
                           "values:target",
                           "kept",
                           "closed",
                           "shift:-3",
                           "shift:4",
                           "unrotated",
                           "offset",
                           "restart",
                           "gap:16",
                           "at:20",
                           "layers:2-4+keys+gap:16",
                           "tokens:4-+layers:1+closed+restart",
                           "blend:0.5:other",
                           "blend:-0.25:other.keys",
                           "add:2:zero",
                           "average:target,other",
                           "prepend:other",
                           "append:target",
                           "insert:4:other",
                           "replace:3:other",
                           "replace:3-7:target",
                           "interleave:other"}) {
    CHECK(parsed(text) == text);
  }
}

TEST_CASE("a text is normalised: in order, joined, defaults unsaid, the place of the text last",
          "[inject][injection_policy_registry]") {
  CHECK(parsed("layers:7,2,3-4") == "layers:2-4,7");
  CHECK(parsed("heads:3.1,0,3.0,2") == "heads:0,2,3.0-1");
  CHECK(parsed("keys:zero") == "keys");
  CHECK(parsed("gap:016") == "gap:16");
  CHECK(parsed("blend:0.50:other") == "blend:0.5:other");
  CHECK(parsed("gap:16+layers:2+keys") == "layers:2+keys+gap:16");
  CHECK(parsed("all+layers:2+all") == "layers:2");
}

TEST_CASE("policies written in C++ print as a text says them", "[inject][injection_policy_registry]") {
  CHECK(describe(layers(2, 4) | keys_only() | place::gap{16}) == "layers:2-4+keys+gap:16");
  CHECK(describe(without(layers(index_ranges::listed({7, 2})))) == "without-layers:2,7");
  CHECK(describe(filled(heads({{3, {1, 1}}}), "other", cache_half::keys)) == "heads:3.1:other.keys");
  CHECK(describe(without(without(tokens(1, 1)))) == "tokens:1");
  CHECK(describe(place::gap{2} | only_span("fact") | after_span(3, 4)) == "span:fact+after:3-4+gap:2");
  CHECK(describe(query_heads(2, 3) | values_only("other")) == "q-heads:2-3+values:other");
  CHECK(describe(compose::blend{0.5, "other"} | compose::append{"target"}) == "blend:0.5:other+append:target");
  CHECK(describe(compose::replace{3, 3, "other"}) == "replace:3:other");
  CHECK(describe(compose::average{{"other", donor::zero()}}) == "average:other,zero");
  CHECK(describe(where("mine", {})) == "where:mine");
  CHECK(describe(any_injection_policy()) == "all");
}

TEST_CASE("a policy tells which donors and spans it needs, each once", "[inject][injection_policy_registry]") {
  const auto policy = injection_policy_registry::standard().parse("layers:1:other+keys:target+heads:0:other+span:fact");
  CHECK(policy.roles() == std::vector<std::string>{"other", "target"});
  CHECK(policy.spans() == std::vector<std::string>{"fact"});
  CHECK(injection_policy_registry::standard().parse("keys+layers:1:zero+tokens:1").roles().empty());
  CHECK(policy.text_place() == std::nullopt);
  const auto placed = injection_policy_registry::standard().parse("gap:3+layers:1").text_place();
  REQUIRE(placed.has_value());
  CHECK(placed->place(position_row::consecutive(0, 2), 1) == position_row::consecutive(5, 1));
}

TEST_CASE("wrong text is refused with its place and what would be right", "[inject][injection_policy_registry]") {
  CHECK(
      refusal("layers:2-x+keys") ==
      "injection policy \"layers:2-x+keys\": character 10: expected a number from 2 on, or nothing, as in layers:2-4, "
      "got \"x\"");
  CHECK(refusal("keys+layers") ==
        "injection policy \"keys+layers\": character 12: expected a colon and an argument, as in layers:2-4, got "
        "nothing");
  CHECK(refusal("layers:4-2") ==
        "injection policy \"layers:4-2\": character 10: expected a number from 4 on, or nothing, as in layers:2-4, got "
        "\"2\"");
  CHECK(refusal("layers:1,1-2") ==
        "injection policy \"layers:1,1-2\": character 10: expected every number once, as in layers:2-4, got \"1-2\"");
  CHECK(refusal("gap:-3") ==
        "injection policy \"gap:-3\": character 5: expected a whole number from 0 on, as in gap:16, got \"-3\"");
  CHECK(refusal("keys+values") ==
        "injection policy \"keys+values\": character 6: expected one half from another cache, got \"values\"");
  CHECK(refusal("gap:16+layers:1+restart") ==
        "injection policy \"gap:16+layers:1+restart\": character 17: expected one place for the text, got \"restart\"");
  CHECK(refusal("closed+kept") ==
        "injection policy \"closed+kept\": character 8: expected one place for the keys, got \"kept\"");
  CHECK(refusal("keys:mine") ==
        "injection policy \"keys:mine\": character 6: expected one of zero, target, other, as in keys:other, got "
        "\"mine\"");
  CHECK(refusal("layers:1:other.both") ==
        "injection policy \"layers:1:other.both\": character 10: expected other, other.keys or other.values, as in "
        "layers:2-4, got \"other.both\"");
  CHECK(refusal("restart:0") ==
        "injection policy \"restart:0\": character 9: expected nothing more, as in restart, got \"0\"");
  CHECK(refusal("blend:half:other") ==
        "injection policy \"blend:half:other\": character 7: expected a number between -1000 and 1000, as in "
        "blend:0.5:other, got \"half\"");
  CHECK(refusal("blend:0.5") ==
        "injection policy \"blend:0.5\": character 10: expected a colon and an argument, as in blend:0.5:other, got "
        "nothing");
  CHECK(refusal("keys+append:zero") ==
        "injection policy \"keys+append:zero\": character 13: expected a cache, as zeros have no length, as in "
        "append:other, got \"zero\"");
  CHECK(refusal("average:other,other") ==
        "injection policy \"average:other,other\": character 15: expected every donor once, as in "
        "average:target,other, got \"other\"");
  CHECK_THAT(refusal("layer:2"), StartsWith("injection policy \"layer:2\": character 1: expected one of all, layers,"));
  CHECK_THAT(refusal(""), EndsWith("got nothing"));
  CHECK_THAT(refusal("layers:2++keys"),
             StartsWith("injection policy \"layers:2++keys\": character 10: expected one of"));
  CHECK_THAT(refusal(std::string("la\nyers\x7f:2")), StartsWith("injection policy \"la?yers?:2\": character 1:"));
}

TEST_CASE("arguments that no policy takes are refused", "[inject][injection_policy_registry]") {
  for (const char* text : {"gap",
                           "gap:",
                           "gap:x",
                           "gap:3x",
                           "gap: 3",
                           "gap:99999999999999999999",
                           "gap:3:4",
                           "offset:3",
                           "restart:0",
                           "layers:",
                           "layers:,",
                           "layers:1,",
                           "layers:-1",
                           "layers:1--2",
                           "layers:1-2-3",
                           "layers:1.0",
                           "layers:1:",
                           "layers:1:other:zero",
                           "layers:1:.keys",
                           "layers:1:other.",
                           "heads:.1",
                           "heads:1.",
                           "heads:1.2.3",
                           "heads:-1.0",
                           "heads:x.1",
                           "heads:0,0",
                           "heads:1.0,1.0-2",
                           "tokens:3-1",
                           "span:",
                           "span:Fact",
                           "span:3-",
                           "span:3x",
                           "after:1,2",
                           "keys:",
                           "keys:other:zero",
                           "where:mine",
                           "keys:given",
                           "shift:",
                           "shift:1.5",
                           "shift:+3",
                           "at:-1",
                           "+",
                           "keys+",
                           "+keys",
                           " keys",
                           "all:1"}) {
    CAPTURE(text);
    CHECK_FALSE(refusal(text).empty());
  }
}

TEST_CASE("whatever a user types is parsed and printed alike, or refused in one line",
          "[inject][injection_policy_registry]") {
  const auto known = injection_policy_registry::standard();
  const std::vector<std::string> pieces = [&] {
    std::vector<std::string> all = known.examples();
    for (const char* more : {"+", ":", ",", "-", ".", "0", "3", "17", "other", "zero", "keys", "x", "\xff", "\n", " ",
                             "99999999999999999999", "without-"}) {
      all.emplace_back(more);
    }
    return all;
  }();
  std::mt19937 random(7);
  int understood = 0;
  for (int i = 0; i < 20000; ++i) {
    std::string text = pieces[random() % pieces.size()];
    for (std::size_t more = random() % 6; more > 0; --more) {
      text += (random() % 2 == 0 ? "+" : "") + pieces[random() % pieces.size()];
    }
    if (random() % 4 == 0) {
      text[random() % text.size()] = static_cast<char>(random() % 256);
    }
    try {
      const std::string printed = describe(known.parse(text));
      ++understood;
      if (describe(known.parse(printed)) != printed) {
        FAIL(text + " printed as " + printed);
      }
    } catch (const value_error& refused) {
      const std::string message = refused.what();
      if (message.find('\n') != std::string::npos || message.find("injection policy \"") != 0) {
        FAIL(message);
      }
    }
  }
  CHECK(understood > 1000);
}

TEST_CASE("every example that help shows is understood", "[inject][injection_policy_registry]") {
  for (const std::string& example : injection_policy_registry::standard().examples()) {
    CAPTURE(example);
    CHECK(refusal(example).empty());
  }
}

TEST_CASE("two policies that decide the same are refused when they are composed",
          "[inject][injection_policy_registry]") {
  CHECK(message_of<value_error>([] { place::gap{1} | place::restart{}; }) ==
        "injection policy: restart: expected one place for the text, got a second one behind gap:1");
  CHECK_THROWS_AS(keys_only() | layers(1, 1) | values_only(), value_error);
  CHECK_THROWS_AS(place::closed{} | place::unrotated{}, value_error);
  CHECK_NOTHROW(layers(1, 2) | layers(2, 2) | without(heads(0, 0)));
}

TEST_CASE("a program adds policies and roles of its own", "[inject][injection_policy_registry]") {
  injection_policy_registry known = injection_policy_registry::standard();
  known.add_role("teacher");
  known.add("late", "late:4", [](const policy_arguments& given) {
    given.require_count(1, 1);
    return tokens(index_ranges({index_ranges::open(given.number(0, 1))}));
  });
  CHECK(describe(known.parse("late:4+keys:teacher")) == "tokens:4-+keys:teacher");
  CHECK_THROWS_AS(known.parse("late:0"), value_error);
  CHECK_THROWS_AS(known.add("late", "late:4", {}), value_error);
  CHECK_THROWS_AS(known.add("a+b", "", {}), value_error);
  CHECK_THROWS_AS(known.add("a:b", "", {}), value_error);
  CHECK_THROWS_AS(known.add("", "", {}), value_error);
  CHECK_THROWS_AS(known.add_role("other"), value_error);
}
