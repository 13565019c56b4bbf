#pragma once

#include <ATen/Context.h>

namespace kvtransfer::detail {

/// Keeps torch from cuDNN's attention while it lives: that one plans anew for every number of keys, which takes a
/// hundred times what one query's attention does. The choice is torch's for the whole process, so it is put back.
class without_cudnn_attention {
 public:
  explicit without_cudnn_attention(bool on_gpu) : chosen_(on_gpu && at::globalContext().userEnabledCuDNNSDP()) {
    if (chosen_) {
      at::globalContext().setSDPUseCuDNN(false);
    }
  }
  ~without_cudnn_attention() {
    if (chosen_) {
      at::globalContext().setSDPUseCuDNN(true);
    }
  }
  without_cudnn_attention(const without_cudnn_attention&) = delete;
  without_cudnn_attention& operator=(const without_cudnn_attention&) = delete;

 private:
  bool chosen_;
};

}  // namespace kvtransfer::detail
