#pragma once

#include <c10/util/Exception.h>
#include <fmt/format.h>

#include <string>
#include <string_view>

#include "kvtransfer/core/error.hpp"
#include "kvtransfer/experiment/process_group.hpp"
#include "kvtransfer/experiment/torchrun_variables.hpp"

namespace kvtransfer::detail {

/// Where the store of a group is, as errors name it.
inline std::string address_of(const torchrun_variables& told) { return fmt::format("{}:{}", told.host, told.port); }

/// What a store answers. @throws process_group_error for what c10d complains of
template <class Work>
decltype(auto) answered(std::string_view address, Work&& work) {
  try {
    return work();
  } catch (const c10::Error& problem) {
    const std::string_view what = problem.what_without_backtrace();
    fail<process_group_error>("process group", address, "a store that answers", what.substr(0, what.find('\n')));
  }
}

}  // namespace kvtransfer::detail
