#pragma once

#include <cstddef>
#include <string>

#include "kvtransfer/experiment/records.hpp"

namespace kvtransfer::detail {

/// A generation against its reference, one bar a step: as high as the reference's top-2 margin (how sure it was of its
/// choice), in one colour up to the first difference and in another from there on.
/// @param steps width of the plot in steps, so that several plots share a scale
[[nodiscard]] std::string svg_agreement(const trial_record& trial, const trial_record& reference, std::size_t steps);

}  // namespace kvtransfer::detail
