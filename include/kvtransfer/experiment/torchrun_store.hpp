#pragma once

#include <c10/util/intrusive_ptr.h>

#include <cstdint>
#include <string_view>

#include "kvtransfer/experiment/torchrun_variables.hpp"

namespace c10d {
class Store;
}

namespace kvtransfer {

/// Whether a process goes on when the store answers, or when all processes of the group have come to it.
enum class store_opening : std::uint8_t { at_once, with_all };

/// The key-value store that the processes of a group share: that of torchrun's agent, or one that rank 0 hosts. An
/// agent's store may outlive the group, and a group that was started again is another, so each has its own keys.
/// @param program in front of all keys: several programs may use one store
/// @throws process_group_error where the store can't be reached; device_error where this build of torch has none
[[nodiscard]] c10::intrusive_ptr<c10d::Store> open_store(const torchrun_variables& told, std::string_view program,
                                                         store_opening opening);

}  // namespace kvtransfer
