#include "kvtransfer/project/layer_alignment.hpp"

#include "support/message.hpp"
#include "support/test.hpp"

using namespace kvtransfer;
using namespace kvtransfer::test;

TEST_CASE("last layers are aligned from the end, and what is over lies in front", "[project][alignment]") {
  CHECK(align_last_layers(3, 5) == layer_alignment{{2}, {3}, {4}});
  CHECK(align_last_layers(5, 3) == layer_alignment{{0}, {0}, {0}, {1}, {2}});
  CHECK(align_last_layers(3, 5, 2) == layer_alignment{{2, 1}, {3, 2}, {4, 3}});
  CHECK(align_last_layers(3, 3, 2) == layer_alignment{{0, 1}, {1, 0}, {2, 1}});
}

TEST_CASE("first layers are aligned from the embedding", "[project][alignment]") {
  CHECK(align_first_layers(3, 5) == layer_alignment{{0}, {1}, {2}});
  CHECK(align_first_layers(5, 3) == layer_alignment{{0}, {1}, {2}, {2}, {2}});
}

TEST_CASE("stretched layers are the nearest ones, of two equally near the one before", "[project][alignment]") {
  CHECK(align_stretched_layers(3, 5) == layer_alignment{{0}, {2}, {4}});
  CHECK(align_stretched_layers(2, 4, 2) == layer_alignment{{0, 1}, {3, 2}});
  CHECK(align_stretched_layers(3, 2, 2) == layer_alignment{{0, 1}, {0, 1}, {1, 0}});
  CHECK(align_stretched_layers(1, 3) == layer_alignment{{0}});
}

TEST_CASE("named layers are those of the map, and others stay as they are", "[project][alignment]") {
  CHECK(align_named_layers(3, 4, {{0, {3}}, {2, {1, 0}}}) == layer_alignment{{3}, {}, {1, 0}});
  CHECK(message_of<value_error>([] { static_cast<void>(align_named_layers(3, 4, {{3, {0}}})); }) ==
        "align_named_layers: layer of the receiver: expected 0 <= layer of the receiver < 3, got 3");
  CHECK_THAT(message_of<value_error>([] { static_cast<void>(align_named_layers(3, 4, {{0, {4}}})); }),
             contains("layer of the source < 4, got 4"));
}

TEST_CASE("an alignment asks for layers that are there", "[project][alignment]") {
  CHECK_THAT(message_of<value_error>([] { static_cast<void>(align_last_layers(3, 2, 3)); }),
             contains("align_last_layers: count: expected 1 to 2 layers of the source, got 3"));
  CHECK_THAT(message_of<value_error>([] { static_cast<void>(align_first_layers(0, 2)); }), contains("receiver"));
}
