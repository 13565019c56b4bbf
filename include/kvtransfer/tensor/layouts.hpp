#pragma once

// Every layout that comes with the library.

#include "kvtransfer/tensor/layouts/batch_heads_dim_seq.hpp"
#include "kvtransfer/tensor/layouts/batch_heads_seq_dim.hpp"
#include "kvtransfer/tensor/layouts/batch_seq_heads_dim.hpp"
#include "kvtransfer/tensor/layouts/latent.hpp"
#include "kvtransfer/tensor/layouts/paged.hpp"
#include "kvtransfer/tensor/layouts/ragged.hpp"
#include "kvtransfer/tensor/layouts/separate.hpp"
