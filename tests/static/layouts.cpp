#include "kvtransfer/tensor/layouts.hpp"

#include <string_view>
#include <vector>

#include "kvtransfer/tensor/concepts.hpp"

namespace kvtransfer {
namespace {

/// A layout by strides, and what is missing from things that look like one.
struct by_strides {
  static constexpr std::string_view name = "by_strides";
  static constexpr std::string_view axes = "[seq, batch, kv_heads, head_dim]";
  at::Tensor view(const at::Tensor& tensor) const { return tensor; }
  at::Tensor arrange(const at::Tensor& canonical) const { return canonical; }
};
struct without_arrange {
  static constexpr std::string_view name = "without_arrange";
  static constexpr std::string_view axes = "[seq]";
  at::Tensor view(const at::Tensor& tensor) const { return tensor; }
};
struct without_axes {
  static constexpr std::string_view name = "without_axes";
  at::Tensor view(const at::Tensor& tensor) const { return tensor; }
  at::Tensor arrange(const at::Tensor& canonical) const { return canonical; }
};
struct that_changes_itself : by_strides {
  at::Tensor view(const at::Tensor& tensor) { return tensor; }
};
struct that_cannot_be_copied : by_strides {
  that_cannot_be_copied() = default;
  that_cannot_be_copied(const that_cannot_be_copied&) = delete;
};

/// A layout by a table, and one without.
struct by_table {
  static constexpr std::string_view name = "by_table";
  static constexpr std::string_view axes = "[total, kv_heads, head_dim]";
  layouts::slot_table slots;
  at::Tensor blocks(const at::Tensor& tensor) const { return tensor; }
  std::vector<std::int64_t> storage_shape(std::int64_t, std::int64_t) const { return {}; }
};
struct without_table {
  static constexpr std::string_view name = "without_table";
  static constexpr std::string_view axes = "[total, kv_heads, head_dim]";
  at::Tensor blocks(const at::Tensor& tensor) const { return tensor; }
  std::vector<std::int64_t> storage_shape(std::int64_t, std::int64_t) const { return {}; }
};
struct keys_without_values {
  by_strides keys;
};

static_assert(StridedLayout<by_strides> && CacheLayout<by_strides> && LayerLayout<by_strides>);
static_assert(!SlottedLayout<by_strides>);
static_assert(!CacheLayout<without_arrange> && !LayerLayout<without_arrange>);
static_assert(!CacheLayout<without_axes>);
static_assert(!CacheLayout<that_changes_itself>);
static_assert(!CacheLayout<that_cannot_be_copied>);
static_assert(!CacheLayout<int>);

static_assert(SlottedLayout<by_table> && CacheLayout<by_table> && !StridedLayout<by_table>);
static_assert(!CacheLayout<without_table>);

static_assert(LayerLayout<layouts::separate<by_strides, by_table>>);
static_assert(!CacheLayout<layouts::separate<by_strides, by_table>>);
static_assert(!LayerLayout<keys_without_values>);

/// Where a layout by strides is wanted, the more special overload is chosen.
template <CacheLayout Layout>
constexpr bool is_special(const Layout&) {
  return false;
}
template <StridedLayout Layout>
constexpr bool is_special(const Layout&) {
  return true;
}
static_assert(is_special(layouts::batch_heads_seq_dim{}) && is_special(layouts::batch_seq_heads_dim{}));
static_assert(is_special(layouts::batch_heads_dim_seq{}) && is_special(layouts::latent_keys<>{}));

static_assert(SlottedLayout<layouts::ragged> && SlottedLayout<layouts::paged_nhd> && SlottedLayout<layouts::paged_hnd>);
static_assert(SlottedLayout<layouts::latent_keys<layouts::ragged>>);
static_assert(LayerLayout<layouts::llama_cpp> && LayerLayout<decltype(layouts::latent())>);

}  // namespace
}  // namespace kvtransfer
