#pragma once

#include "kvtransfer/tensor/concepts.hpp"
#include "kvtransfer/tensor/layouts/batch_heads_dim_seq.hpp"
#include "kvtransfer/tensor/layouts/batch_seq_heads_dim.hpp"

namespace kvtransfer::layouts {

/// Keys in one layout and values in another.
template <CacheLayout Keys, CacheLayout Values>
struct separate {
  Keys keys = {};
  Values values = {};
};

/// llama.cpp without flash attention: keys token by token, values transposed.
using llama_cpp = separate<batch_seq_heads_dim, batch_heads_dim_seq>;

static_assert(LayerLayout<llama_cpp>);

}  // namespace kvtransfer::layouts
