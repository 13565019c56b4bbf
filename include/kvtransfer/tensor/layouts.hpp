#pragma once

// Every layout that comes with the library. What a layout is, of the library or of your own, say the concepts
// CacheLayout, StridedLayout and SlottedLayout in tensor/concepts.hpp; layouts/strided.hpp has the plainest,
// examples/own_layout.cpp one that a program brings along.

#include "kvtransfer/tensor/layouts/latent.hpp"
#include "kvtransfer/tensor/layouts/paged.hpp"
#include "kvtransfer/tensor/layouts/ragged.hpp"
#include "kvtransfer/tensor/layouts/strided.hpp"
