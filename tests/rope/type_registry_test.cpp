#include "kvtransfer/rope/type_registry.hpp"

#include "support/test.hpp"

namespace kvtransfer::test {

TEST_CASE("only dynamic and longrope depend on the sequence's length", "[rope][type_registry]") {
  for (const rope::type_registry known = rope::builtin_types(); const auto& [name, type] : known) {
    CHECK(type.depends_on_length == (name == "dynamic" || name == "longrope"));
  }
}

TEST_CASE("an unknown rope_type is refused with the list of the known ones", "[rope][type_registry][misuse]") {
  try {
    (void)rope::builtin_types().at("spiral");
    FAIL("found a type that does not exist");
  } catch (const value_error& refused) {
    CHECK(std::string(refused.what()) ==
          "rope_parameters: rope_type: expected one of default, linear, proportional, dynamic, yarn, longrope, llama3, "
          "ntk_alpha, got \"spiral\"");
  }
}

TEST_CASE("a type of one's own is one entry more", "[rope][type_registry]") {
  rope::type_registry types = rope::builtin_types();
  const auto still = [](const rope::type_parameters& parameters, std::int64_t) {
    return rope::frequencies{std::vector<float>(static_cast<std::size_t>(parameters.head_dim / 2), 0.0f)};
  };
  types.add("still", {still});
  CHECK(types.at("still").build({{}, 8, 0}, 1).inv_freq == std::vector<float>{0, 0, 0, 0});
}

}  // namespace kvtransfer::test
