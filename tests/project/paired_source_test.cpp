#include "kvtransfer/project/paired_source.hpp"

#include <cstdint>
#include <string>
#include <vector>

#include "kvtransfer/model/generate.hpp"
#include "support/message.hpp"
#include "support/small_model.hpp"
#include "support/test.hpp"

using namespace kvtransfer;
using namespace kvtransfer::test;

namespace {

position_map positions_of(std::int64_t count) { return {1, 1, 1, {position_row::consecutive(0, count)}}; }

}  // namespace

TEST_CASE("every token of the receiver has a slot of the source, those without text the one before",
          "[project][alignment]") {
  using slots = std::vector<std::int64_t>;
  CHECK(source_slots_by_text({"", "ab", "c", "def"}, {"", "a", "bcd", "ef"}) == slots{0, 2, 2, 3});
  CHECK(source_slots_by_text({"", "abc", "", "def"}, {"", "a", "b", "c", "def"}) == slots{0, 3, 3, 4});
  CHECK(source_slots_by_text({"a", "b"}, {"ab"}) == slots{0, 0});
  CHECK(source_slots_by_text({}, {}).empty());
  CHECK_THAT(message_of<value_error>([] { static_cast<void>(source_slots_by_text({"ab"}, {"ax"})); }),
             contains("another text from byte 1 on"));
}

TEST_CASE("a paired source holds the named slots where the receiver's stand", "[project][alignment]") {
  const causal_lm model = small_model();
  const std::vector<std::int64_t> text = some_tokens(6);
  const cache source = prefill(model, {text});
  // One for one it is the source, and one slot on it is what the source would be there.
  const cache same = paired_source(source.view(), std::vector<std::int64_t>{0, 1, 2, 3, 4, 5}, positions_of(6));
  const cache later = paired_source(source.view(), std::vector<std::int64_t>{0, 0, 1, 2, 3, 4}, positions_of(6));
  CHECK(same.view().frame().layer(0).positions == source.view().frame().layer(0).positions);
  for (std::int64_t i = 0; i < model.config.layers; ++i) {
    CHECK(max_difference(same.view().layer(i).keys(), source.view().layer(i).keys()) == 0);
    CHECK(max_difference(later.view().layer(i).values().narrow(2, 1, 5),
                         source.view().layer(i).values().narrow(2, 0, 5)) == 0);
    cache shifted(source.view());
    shifted.shift(1);
    CHECK(max_difference(later.view().layer(i).keys().narrow(2, 1, 5), shifted.view().layer(i).keys().narrow(2, 0, 5)) <
          1e-5);
  }
  CHECK_THAT(message_of<shape_error>([&] {
               static_cast<void>(paired_source(source.view(), std::vector<std::int64_t>{0, 1, 6}, positions_of(3)));
             }),
             contains("0 <= slot < 6"));
  CHECK_THAT(message_of<shape_error>([&] {
               static_cast<void>(paired_source(source.view(), std::vector<std::int64_t>{0, 1}, positions_of(3)));
             }),
             contains("positions"));
}
