#include "kvtransfer/tensor/memory.hpp"

#include <ATen/ops/zeros.h>

#include "support/test.hpp"

using namespace kvtransfer;

TEST_CASE("a tensor's memory reaches from its first element to its last", "[tensor][memory]") {
  const at::Tensor all = at::zeros({4, 6}, at::kFloat);
  const auto begin = reinterpret_cast<std::uintptr_t>(all.const_data_ptr());
  CHECK((memory_of(all) == memory_range{begin, begin + 96}));
  CHECK((memory_of(all.t()) == memory_of(all)));
  CHECK((memory_of(all[1]) == memory_range{begin + 24, begin + 48}));
  CHECK((memory_of(all.narrow(1, 2, 1)) == memory_range{begin + 8, begin + 84}));
  CHECK((memory_of(all[0].expand({3, 6})) == memory_range{begin, begin + 24}));
  CHECK((memory_of(all.narrow(0, 0, 0)) == memory_range{}));
}
