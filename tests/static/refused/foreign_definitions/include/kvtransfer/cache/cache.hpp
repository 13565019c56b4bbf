#pragma once

#include "kvtransfer/cache/detail/cache.ipp"
