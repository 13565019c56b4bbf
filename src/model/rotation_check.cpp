#include "model/rotation_check.hpp"

#include <fmt/format.h>

#include <cstddef>
#include <limits>
#include <string>
#include <vector>

#include "kvtransfer/core/error.hpp"

namespace kvtransfer::detail {

namespace {

/// The specification of `own` that `written` should equal. Where nobody wrote down a length, the one of short texts or
/// the one of endless ones may do: LongRoPE has no other.
rotary_specification counterpart(const rotary_embedding& own, const rotary_specification& written) {
  rotary_specification short_text = own.at(written.length > 0 ? written.length : 1);
  if (own.depends_on_length() && written.length == 0 && !written.rotates_as(short_text)) {
    rotary_specification endless = own.at(std::numeric_limits<std::int32_t>::max());
    return written.rotates_as(endless) ? endless : short_text;
  }
  return short_text;
}

void require_counterpart(const rotary_embedding& own, const rotary_specification& written, std::string_view what) {
  const rotary_specification expected = counterpart(own, written);
  if (!written.rotates_as(expected)) {
    const std::string at_length = own.depends_on_length() ? fmt::format(" at {} tokens", expected.length) : "";
    fail<frame_error>(
        "plan", what,
        fmt::format("keys rotated as the model does{} ({})", at_length, describe_difference(expected, written)),
        describe_difference(written, expected));
  }
}

}  // namespace

void require_rotated_by(const rotary_embedding& own, const layer_frame& frame, std::string_view what) {
  std::vector<bool> used(frame.specifications.size());
  bool unrotated = false;
  for (const position_row& row : frame.positions.rows()) {
    for (const position_run& run : row.runs()) {
      if (run.state.is_rotated()) {
        used[static_cast<std::size_t>(run.state.specification())] = true;
      } else {
        unrotated = unrotated || !run.state.is_padding();
      }
    }
  }
  require<frame_error>(!unrotated || !own.rotates(), "plan", what, "rotated keys (rotate the cache first)",
                       "keys without rotation");
  for (std::size_t i = 0; i < used.size(); ++i) {
    if (used[i]) {
      require_counterpart(own, frame.specifications[i], what);
    }
  }
}

}  // namespace kvtransfer::detail
