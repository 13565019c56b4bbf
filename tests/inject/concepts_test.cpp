#include "kvtransfer/inject/concepts.hpp"

#include "cache/known_cache.hpp"
#include "kvtransfer/inject/prepend.hpp"
#include "support/test.hpp"

using namespace kvtransfer;
using namespace kvtransfer::test;

namespace {

/// All tokens at the last position held: not a sensible thing to do, but a policy.
struct on_the_spot {
  static constexpr std::string_view name = "on_the_spot";
  position_row place(const position_row& source, std::int64_t count) const {
    position_row row;
    row.append({source.last_position().value_or(0), count, 0, slot_state::rotated()});
    return row;
  }
};

}  // namespace

TEST_CASE("a position policy of somebody's own works as the library's do", "[inject][concepts]") {
  const known_cache known = known_cache_of(1, 5);
  const plan text = prepend(known.kv.view(), {{7, 8, 9}}, on_the_spot{});
  CHECK(text.positions.row(0, 0, 0).positions() == std::vector<std::int64_t>{4, 4, 4});
}
