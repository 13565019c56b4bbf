#pragma once

#include <string>
#include <vector>

#include "kvtransfer/experiment/sequence.hpp"

namespace kvtransfer::detail {

/// A sequence with the name of what read it.
struct named_sequence {
  std::string name;
  sequence parts;
};

/// What each condition reads, one strip a condition, to one scale: filled parts are cached keys and values, pale ones
/// are fed.
[[nodiscard]] std::string svg_sequences(const std::vector<named_sequence>& strips);

/// The colours of `svg_sequences`.
[[nodiscard]] std::string svg_sequence_legend();

}  // namespace kvtransfer::detail
