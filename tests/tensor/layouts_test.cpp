#include "kvtransfer/tensor/layouts.hpp"

#include <ATen/ops/equal.h>
#include <ATen/ops/zeros.h>

#include "support/test.hpp"

using namespace kvtransfer;

TEMPLATE_TEST_CASE("a layout shows and arranges the same storage, and the one undoes the other", "[tensor][layouts]",
                   layouts::batch_heads_seq_dim, layouts::batch_seq_heads_dim, layouts::batch_heads_dim_seq) {
  const TestType layout;
  const at::Tensor tensor = at::zeros({2, 4, 4, 4});
  const at::Tensor view = layout.view(tensor);
  CHECK(view.data_ptr() == tensor.data_ptr());
  CHECK(layout.arrange(view).sizes() == tensor.sizes());
  CHECK(layout.arrange(view).strides() == tensor.strides());

  view[1][2][1][3].fill_(42);
  CHECK(tensor.sum().item<float>() == 42);
  CHECK(at::equal(layout.view(layout.arrange(view)), view));
}

TEST_CASE("the axes of each layout are where its name says", "[tensor][layouts]") {
  const at::Tensor tensor = at::zeros({2, 3, 4, 5});
  CHECK(layouts::batch_heads_seq_dim().view(tensor).sizes() == at::IntArrayRef({2, 3, 4, 5}));
  CHECK(layouts::batch_seq_heads_dim().view(tensor).sizes() == at::IntArrayRef({2, 4, 3, 5}));
  CHECK(layouts::batch_heads_dim_seq().view(tensor).sizes() == at::IntArrayRef({2, 3, 5, 4}));
}
