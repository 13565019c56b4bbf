#pragma once

#include <ATen/core/Tensor.h>

namespace kvtransfer::kernels {

/// The operator on a GPU; choose_tokens.cpp describes it.
void choose_tokens_on_cuda(const at::Tensor& logits, const at::Tensor& sequences, const at::Tensor& state,
                           const at::Tensor& draws, const at::Tensor& record, const at::Tensor& turn);

}  // namespace kvtransfer::kernels
