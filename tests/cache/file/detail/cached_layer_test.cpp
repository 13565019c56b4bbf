#include <cstdint>
#include <string>
#include <vector>

#include "cache/file/sample_cache.hpp"
#include "kvtransfer/cache/file/cache_file_writer.hpp"
#include "support/message.hpp"
#include "support/test.hpp"

using namespace kvtransfer;
using namespace kvtransfer::detail;
using namespace kvtransfer::test;

namespace {

/// What refuses to write the sample's frame by head with such a layer.
template <class Error>
std::string writing_complaint(const cached_layer& layer) {
  return message_of<Error>([&] { require_writable(cache_frame(1, positions_by_head()), {layer}, "W"); });
}

}  // namespace

TEST_CASE("values have the extents and type of the keys unless they are told others", "[cache][file]") {
  const cache_frame frame(2, unequal_rows(7));
  const auto tensors =
      layer_tensors(frame, {{.kv_heads = 2, .head_dim = 8, .dtype = at::kHalf},
                            {.kv_heads = 2, .head_dim = 8, .value_head_dim = 6, .value_dtype = at::kDouble}});
  REQUIRE(tensors.size() == 4);
  CHECK(tensors[1].name == "layers.0.value");
  CHECK(tensors[1].dtype == safetensors_dtype::f16);
  CHECK(tensors[1].shape == std::vector<std::int64_t>{2, 2, 7, 8});
  CHECK(tensors[2].dtype == safetensors_dtype::f32);
  CHECK(tensors[3].dtype == safetensors_dtype::f64);
  CHECK(tensors[3].shape == std::vector<std::int64_t>{2, 2, 7, 6});
}

TEST_CASE("layers that a frame does not fit are not written", "[cache][file]") {
  const cached_layer good{.kv_heads = sample_heads, .head_dim = sample_head_dim};
  CHECK(writing_complaint<error>(good).empty());
  CHECK(writing_complaint<shape_error>({.kv_heads = 3, .head_dim = 8}) ==
        "W: layers.0.key: expected kv_heads=2, as its positions have, got 3");
  CHECK_THAT(writing_complaint<frame_error>({.kv_heads = 2, .head_dim = 6}),
             contains("W: layers.0.key: expected a rotary window within head_dim=6, got yarn"));
  CHECK(writing_complaint<value_error>({.kv_heads = 2, .head_dim = 8, .dtype = at::kInt}) ==
        "W: layers.0.key: expected a floating dtype that safetensors has, got Int");
  CHECK_FALSE(writing_complaint<value_error>({.kv_heads = 2, .head_dim = 8, .value_dtype = at::kComplexFloat}).empty());
  CHECK_THROWS_AS(require_writable(cache_frame(1, unequal_rows()), {good, good}, "W"), shape_error);
  layer_frame nameless = unequal_rows();
  nameless.specifications.clear();
  CHECK_THROWS_AS(require_writable(cache_frame(1, nameless), {good}, "W"), shape_error);
}
