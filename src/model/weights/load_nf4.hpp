#pragma once

#include <cstdint>
#include <string>
#include <unordered_set>
#include <vector>

#include "kvtransfer/model/weights/nf4_matrix.hpp"
#include "kvtransfer/tensor/safetensors_folder.hpp"

namespace kvtransfer::detail {

/// What a matrix saved in NF4 has beside its codes: bytes of a JSON object that says how to read them.
inline constexpr const char* nf4_state_ending = ".quant_state.bitsandbytes__nf4";

/// A matrix as bitsandbytes saved it, checked.
/// @param name the matrix's in the folder
/// @param shape [out, in], as the configuration has it
/// @param used gets the names of all tensors that belong to it
/// @throws file_error naming the tensor or the field: missing, misshapen, a table that is not NF4's
/// Source: bitsandbytes, QuantState.as_dict(packed=True).
[[nodiscard]] nf4_matrix load_nf4(const safetensors_folder& folder, const std::string& name,
                                  const std::vector<std::int64_t>& shape, at::Device device,
                                  std::unordered_set<std::string>& used);

}  // namespace kvtransfer::detail
