#include "kvtransfer/cache/with_dtype.hpp"

#include <ATen/ops/equal.h>
#include <ATen/ops/zeros.h>

#include <limits>
#include <string>
#include <vector>

#include "cache/known_cache.hpp"
#include "support/message.hpp"
#include "support/test.hpp"

using namespace kvtransfer;
using namespace kvtransfer::test;

namespace {

/// Two layers of one key behind one slot of padding, in `dtype`; zeros.
cache padded_cache(at::ScalarType dtype) {
  position_row row = position_row::consecutive(0, 1, slot_state::padding());
  row.append({0, 1, 1, slot_state::rotated()});
  const cache_frame frame(2, {position_map(row), {rotary_specification{.inv_freq = {1.0F, 0.1F}}}});
  const auto zeros = [&] {
    return std::vector<at::Tensor>{at::zeros({1, 1, 2, 4}, dtype), at::zeros({1, 1, 2, 4}, dtype)};
  };
  return cache(zeros(), zeros(), frame, as_written);
}

}  // namespace

TEST_CASE("a number that the other type lacks is refused, in keys and values, and not where padding lies",
          "[cache][with_dtype]") {
  struct conversion {
    at::ScalarType from, to;
    double too_large, largest;
  };
  for (const auto& [from, to, too_large, largest] :
       {conversion{at::kFloat, at::kHalf, 65520, 65504}, conversion{at::kBFloat16, at::kHalf, 66048, 65280},
        conversion{at::kDouble, at::kFloat, 1e39, 3e38}, conversion{at::kDouble, at::kBFloat16, 1e39, 3e38},
        conversion{at::kHalf, at::kFloat8_e4m3fn, 480, 448}, conversion{at::kFloat, at::kFloat8_e5m2, 65536, 57344},
        conversion{at::kFloat8_e5m2, at::kFloat8_e4m3fn, 512, 448}}) {
    CAPTURE(at::toString(from), at::toString(to));
    const cache source = padded_cache(from);
    for (const at::Tensor& tensor : {source.view().layer(1).keys(), source.view().layer(1).values()}) {
      tensor.select(2, 0).fill_(too_large);  // padding
      tensor.select(2, 1).fill_(-largest);
      CHECK(with_dtype(source.view(), to).view().layer(1).keys().scalar_type() == to);
      tensor.select(2, 1).fill_(-too_large);
      const std::string refusal = message_of<value_error>([&] { (void)with_dtype(source.view(), to); });
      CHECK(refusal == fmt::format("with_dtype: elements: expected those that {} holds, got {:.6g} in layer 1",
                                   at::toString(to), -too_large));
      tensor.zero_();
    }
  }
}

TEST_CASE("what is infinite stays so, and a wider type takes every number", "[cache][with_dtype]") {
  const cache source = padded_cache(at::kHalf);
  source.view().layer(0).keys().fill_(65504);
  source.view().layer(0).values().fill_(std::numeric_limits<double>::infinity());
  for (const at::ScalarType dtype : {at::kBFloat16, at::kFloat, at::kDouble, at::kHalf}) {
    const cache converted = with_dtype(source.view(), dtype);
    CHECK(at::equal(converted.view().layer(0).values().to(at::kHalf), source.view().layer(0).values()));
    CHECK(converted.view().layer(0).keys().data_ptr() != source.view().layer(0).keys().data_ptr());
    CHECK(converted.view().frame() == source.view().frame());
  }
}

TEST_CASE("a type that is not floating is refused by name", "[cache][with_dtype]") {
  CHECK(message_of<value_error>([] { (void)with_dtype(padded_cache(at::kHalf).view(), at::kLong); }) ==
        "with_dtype: dtype: expected a floating one, got Long");
}
