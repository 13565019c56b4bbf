#pragma once

#include <ATen/autocast_mode.h>
#include <c10/core/Device.h>

namespace kvtransfer::train_lab {

/// While it lives, matrix products on the device run in bfloat16 and what needs range runs in fp32, as torch.autocast
/// has it.
class bfloat16_autocast {
 public:
  explicit bfloat16_autocast(at::Device device) : type_(device.type()) {
    at::autocast::set_autocast_dtype(type_, at::kBFloat16);
    at::autocast::set_autocast_enabled(type_, true);
    at::autocast::increment_nesting();
  }
  ~bfloat16_autocast() {
    if (at::autocast::decrement_nesting() == 0) {
      at::autocast::clear_cache();
    }
    at::autocast::set_autocast_enabled(type_, false);
  }
  bfloat16_autocast(const bfloat16_autocast&) = delete;
  bfloat16_autocast& operator=(const bfloat16_autocast&) = delete;

 private:
  at::DeviceType type_;
};

}  // namespace kvtransfer::train_lab
