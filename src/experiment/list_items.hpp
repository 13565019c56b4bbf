#pragma once

#include <functional>
#include <string_view>
#include <vector>

namespace kvtransfer::detail {

/// What tells the items of a list apart where commas stand inside some of them: in `transfer+average:other,target,zero`
/// some commas are the policy's.
struct item_rules {
  std::string_view list_name;                            ///< in front of the list in complaints
  std::string_view item_name;                            ///< what the list is one of, for complaints
  std::function<bool(std::string_view piece)> begins;    ///< whether its first word is one that items begin with
  std::function<bool(std::string_view item)> ends_open;  ///< whether it ends with an argument, where a comma may stand
  std::function<bool(std::string_view item)> is_item;    ///< whether it can be read as one
};

/// The items of a comma-separated list, each a part of it. A piece by which no item begins goes with the one before if
/// that ends open.
/// @throws value_error that shows the place of a piece which is an item by itself and as good a part of the one before
[[nodiscard]] std::vector<std::string_view> list_items(std::string_view list, const item_rules& rules);

}  // namespace kvtransfer::detail
