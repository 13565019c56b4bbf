// Which types are position policies, and which only look like one.

#include "kvtransfer/inject/position_policies.hpp"

#include <cstdint>
#include <string_view>
#include <type_traits>

#include "kvtransfer/inject/concepts.hpp"

namespace kvtransfer::test::lookalikes {

using kvtransfer::position_row;
using kvtransfer::PositionPolicy;

struct own_policy {
  static constexpr std::string_view name = "own";
  position_row place(const position_row& source, std::int64_t count) const;
};

struct nameless_policy {
  position_row place(const position_row& source, std::int64_t count) const;
};

struct listing_policy {
  static constexpr std::string_view name = "gives one position, not a row";
  std::int64_t place(const position_row& source, std::int64_t count) const;
};

struct counting_policy {
  static constexpr std::string_view name = "changes from call to call";
  position_row place(const position_row& source, std::int64_t count);
};

struct blind_policy {
  static constexpr std::string_view name = "does not look at the source";
  position_row place(std::int64_t count) const;
};

static_assert(PositionPolicy<kvtransfer::place::offset>);
static_assert(PositionPolicy<kvtransfer::place::restart>);
static_assert(PositionPolicy<kvtransfer::place::gap>);
static_assert(PositionPolicy<kvtransfer::any_position_policy>);
static_assert(PositionPolicy<own_policy>);
static_assert(!PositionPolicy<nameless_policy>);
static_assert(!PositionPolicy<listing_policy>);
static_assert(!PositionPolicy<counting_policy>);
static_assert(!PositionPolicy<blind_policy>);
static_assert(!PositionPolicy<position_row>);

static_assert(std::is_convertible_v<own_policy, kvtransfer::any_position_policy>);
static_assert(!std::is_convertible_v<nameless_policy, kvtransfer::any_position_policy>);
static_assert(!std::is_constructible_v<kvtransfer::any_position_policy, int>);

}  // namespace kvtransfer::test::lookalikes
