#include "model/weights/room_for_weights.hpp"

#include "kvtransfer/core/error.hpp"
#include "model/free_memory.hpp"

namespace kvtransfer::detail {

void require_room_for_weights(std::int64_t bytes, c10::Device device) {
  const std::int64_t free = free_memory(device);
  require<out_of_memory_error>(bytes <= free, "load_weights", "memory",
                               formatted("{} bytes for the weights on {}", bytes, device.str()),
                               formatted("{} bytes free", free));
}

}  // namespace kvtransfer::detail
