// What may be copied, and what only handed over: a view is cheap, a cache owns its tensors.

#include <type_traits>

#include "kvtransfer/cache/cache.hpp"
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

static_assert(!std::is_convertible_v<cache_view<>, cache>, "copying a cache's data is said in so many words");
static_assert(!std::is_convertible_v<position_row, position_map>);

}  // namespace
