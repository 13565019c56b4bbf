#pragma once

#include <string>

#include "kvtransfer/model/chat_format.hpp"

namespace kvtransfer::detail {

/// Whether a piece of the format holds "{{ eos_token }}".
[[nodiscard]] bool prints_eos(const chat_format& format);

/// The format with `eos` in place of every "{{ eos_token }}".
[[nodiscard]] chat_format with_eos(chat_format format, const std::string& eos);

}  // namespace kvtransfer::detail
