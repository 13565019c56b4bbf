#pragma once

#include "syntax.hpp"
#include "token_cursor.hpp"

namespace kvtransfer::detail {

/// Reads an expression, with `a if b else c` where `with_condition`. @throws template_error
[[nodiscard]] expression_pointer parse_expression(token_cursor& tokens, bool with_condition = true);

/// The same, where commas without brackets make a tuple.
[[nodiscard]] expression_pointer parse_tuple(token_cursor& tokens, bool with_condition = true);

}  // namespace kvtransfer::detail
