#include "kvtransfer/rope/type_registry.hpp"

#include "support/test.hpp"

namespace kvtransfer::test {

TEST_CASE("only dynamic and longrope depend on the sequence's length", "[rope][type_registry]") {
  for (const auto& [name, type] : rope::builtin_types()) {
    CHECK(type.depends_on_length == (name == "dynamic" || name == "longrope"));
  }
}

TEST_CASE("an unknown rope_type is refused with the list of the known ones", "[rope][type_registry][misuse]") {
  try {
    rope::find_type(rope::builtin_types(), "spiral");
    FAIL("found a type that does not exist");
  } catch (const value_error& refused) {
    CHECK(std::string(refused.what()) ==
          "rope_parameters: rope_type: expected one of default, dynamic, linear, llama3, longrope, ntk_alpha, "
          "proportional, "
          "yarn, got spiral");
  }
}

TEST_CASE("a type of one's own is one entry more", "[rope][type_registry]") {
  rope::type_registry types = rope::builtin_types();
  types["still"] = {[](const rope::type_parameters& parameters, std::int64_t) {
    return rope::frequencies{std::vector<float>(static_cast<std::size_t>(parameters.head_dim / 2), 0.0f)};
  }};
  CHECK(rope::find_type(types, "still").build({{}, 8, 0}, 1).inv_freq == std::vector<float>{0, 0, 0, 0});
}

}  // namespace kvtransfer::test
