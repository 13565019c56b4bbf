// What may be copied, and what only handed over: a view is cheap, a cache owns its tensors.

#include <concepts>
#include <type_traits>
#include <utility>
#include <vector>

#include "kvtransfer/cache/cache.hpp"
#include "kvtransfer/core/position_map.hpp"
#include "kvtransfer/inject/plan.hpp"
#include "kvtransfer/tensor/layouts.hpp"

namespace {

using namespace kvtransfer;

static_assert(std::is_copy_constructible_v<cache_view<>>);
static_assert(std::is_copy_constructible_v<layer_view<layouts::batch_seq_heads_dim>>);
static_assert(std::is_copy_constructible_v<cache_frame>);
static_assert(std::is_copy_constructible_v<plan>);

static_assert(!std::is_copy_constructible_v<cache>);
static_assert(!std::is_copy_assignable_v<cache>);
static_assert(std::is_nothrow_move_constructible_v<cache>);
static_assert(std::is_move_assignable_v<cache>);

// What a view that is about to go shows outlives it.
template <class View>
concept hands_over = requires(View view) {
  { std::move(view).frame() } -> std::same_as<std::remove_cvref_t<decltype(view.frame())>>;
};
static_assert(hands_over<cache_view<>> && hands_over<layer_view<>>);
static_assert(std::is_same_v<decltype(std::declval<cache_view<>>().layer(0)), layer_view<>>);
static_assert(std::is_same_v<decltype(std::declval<layer_view<>>().shared_frame()), cache_frame::shared_layer>);
static_assert(std::is_same_v<decltype(std::declval<layer_view<>>().stored_keys()), at::Tensor>);
static_assert(std::is_same_v<decltype(std::declval<layer_view<>>().stored_values()), at::Tensor>);
static_assert(std::is_same_v<decltype(std::declval<segment>().kv()), layer_view<>>);
static_assert(std::is_same_v<decltype(std::declval<segment>().origin()), cache_frame>);
static_assert(std::is_same_v<decltype(std::declval<plan>().segments(0)), std::vector<segment>>);
static_assert(std::is_same_v<decltype(std::declval<position_map>().row(0, 0, 0)), position_row>);
static_assert(std::is_same_v<decltype(std::declval<position_map>().rows()), std::vector<position_row>>);
static_assert(std::is_same_v<decltype(std::declval<position_row>().runs()), std::vector<position_run>>);
static_assert(std::is_same_v<decltype(std::declval<const segment&>().kv()), const layer_view<>&>,
              "no copy of one kept");
static_assert(std::is_same_v<decltype(std::declval<const position_map&>().rows()), const std::vector<position_row>&>);

static_assert(!std::is_convertible_v<cache_view<>, cache>, "copying a cache's data is said in so many words");
static_assert(!std::is_convertible_v<position_row, position_map>);

}  // namespace
