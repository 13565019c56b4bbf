#pragma once

// Every layout that comes with the library.

#include "kvtransfer/tensor/layouts/latent.hpp"
#include "kvtransfer/tensor/layouts/paged.hpp"
#include "kvtransfer/tensor/layouts/ragged.hpp"
#include "kvtransfer/tensor/layouts/strided.hpp"
