#pragma once

namespace kvtransfer {

/// Some slots.
struct slots {
  int first = 0;  ///< in front
  int count = 0;
};

int room_of(const slots& taken);

}  // namespace kvtransfer
