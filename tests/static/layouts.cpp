// Which types are layouts, and which only look like one.

#include "kvtransfer/tensor/layouts.hpp"

#include <ATen/core/Tensor.h>

#include <memory>
#include <string_view>

#include "kvtransfer/tensor/concepts.hpp"

namespace kvtransfer::test::lookalikes {

using kvtransfer::CacheLayout;
using kvtransfer::LayerLayout;
using kvtransfer::SlottedLayout;
using kvtransfer::StridedLayout;

struct own_layout {
  static constexpr const char* name = "own";
  static constexpr std::string_view axes = "[seq, batch, kv_heads, head_dim]";
  at::Tensor view(const at::Tensor& tensor) const;
  at::Tensor arrange(const at::Tensor& canonical) const;
};

struct nameless_layout {
  static constexpr std::string_view axes = "[seq, batch, kv_heads, head_dim]";
  at::Tensor view(const at::Tensor& tensor) const;
  at::Tensor arrange(const at::Tensor& canonical) const;
};

struct layout_of_unnamed_axes {
  static constexpr std::string_view name = "errors could not show its axes";
  at::Tensor view(const at::Tensor& tensor) const;
  at::Tensor arrange(const at::Tensor& canonical) const;
};

struct one_way_layout {
  static constexpr std::string_view name = "one way";
  static constexpr std::string_view axes = "[seq, batch, kv_heads, head_dim]";
  at::Tensor view(const at::Tensor& tensor) const;
};

struct writing_layout {
  static constexpr std::string_view name = "writes into what it is given";
  static constexpr std::string_view axes = "[seq, batch, kv_heads, head_dim]";
  void view(const at::Tensor& tensor) const;
  at::Tensor arrange(const at::Tensor& canonical) const;
};

struct changing_layout {
  static constexpr std::string_view name = "changes while it reads";
  static constexpr std::string_view axes = "[seq, batch, kv_heads, head_dim]";
  at::Tensor view(const at::Tensor& tensor);
  at::Tensor arrange(const at::Tensor& canonical) const;
};

struct uncopied_layout {
  static constexpr std::string_view name = "cannot be copied";
  static constexpr std::string_view axes = "[seq, batch, kv_heads, head_dim]";
  std::unique_ptr<int> owned;
  at::Tensor view(const at::Tensor& tensor) const;
  at::Tensor arrange(const at::Tensor& canonical) const;
};

static_assert(StridedLayout<kvtransfer::layouts::batch_heads_seq_dim>);
static_assert(StridedLayout<kvtransfer::layouts::batch_seq_heads_dim>);
static_assert(StridedLayout<kvtransfer::layouts::batch_heads_dim_seq>);
static_assert(StridedLayout<own_layout>);
static_assert(!StridedLayout<nameless_layout>);
static_assert(!StridedLayout<layout_of_unnamed_axes>);
static_assert(!StridedLayout<one_way_layout>);
static_assert(!StridedLayout<writing_layout>);
static_assert(!StridedLayout<changing_layout>);
static_assert(!StridedLayout<uncopied_layout>);
static_assert(!StridedLayout<at::Tensor>);
static_assert(!StridedLayout<int>);

static_assert(SlottedLayout<kvtransfer::layouts::paged_nhd>);
static_assert(SlottedLayout<kvtransfer::layouts::ragged>);
static_assert(!SlottedLayout<own_layout>, "its slots lie where its strides say");
static_assert(!StridedLayout<kvtransfer::layouts::paged_nhd>, "it cannot be read without its table");

struct own_pair {
  own_layout keys;
  kvtransfer::layouts::paged_nhd values;
};

struct half_a_pair {
  own_layout keys;
};

struct pair_without_a_layout {
  own_layout keys;
  int values;
};

static_assert(CacheLayout<own_layout> && CacheLayout<kvtransfer::layouts::paged_nhd>);
static_assert(LayerLayout<own_layout>);
static_assert(LayerLayout<own_pair>);
static_assert(!CacheLayout<own_pair>, "no single tensor lies so");
static_assert(!LayerLayout<half_a_pair>);
static_assert(!LayerLayout<pair_without_a_layout>);
static_assert(!LayerLayout<nameless_layout>);

}  // namespace kvtransfer::test::lookalikes
