#pragma once

#include "kvtransfer/cache/cache.hpp"
#include "kvtransfer/cache/detail/cache.ipp"
