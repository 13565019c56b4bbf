#pragma once

#include "kvtransfer/inject/plan.hpp"
#include "kvtransfer/model/config.hpp"

namespace kvtransfer::detail {

/// Refuses a plan whose windowed layers lack keys that their window would show, and that another layer still has: a
/// cache that kept no more than its windows and was cut afterwards, or cut in some layers alone. Such a layer would see
/// fewer keys than the model does. A layer that holds none at all was left out on purpose, and is none of these.
/// @throws frame_error naming the layer
void require_windows_filled(const model_config& config, const plan& input);

}  // namespace kvtransfer::detail
