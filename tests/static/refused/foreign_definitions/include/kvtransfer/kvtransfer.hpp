#pragma once

#include "kvtransfer/cache/cache.hpp"
#include "kvtransfer/cache/slice.hpp"
