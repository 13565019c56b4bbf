#pragma once

#include <cstdint>
#include <filesystem>

namespace kvtransfer::detail {

/// Bytes that this process can still allocate on the host without another's being pushed out, as the kernel says: the
/// least of what the machine has available, what the memory limits of the process's control groups leave (version 1
/// and 2), and what its limit on address space leaves.
/// @param root where `proc` and `sys` lie
[[nodiscard]] std::int64_t free_on_host(const std::filesystem::path& root = "/");

/// Gives the system the pages of memory that was freed and that the C library keeps for later: between tensors that
/// stay, what a batch or a loaded matrix has left would count for ever.
void return_freed_memory();

}  // namespace kvtransfer::detail
