#pragma once

#include "kvtransfer/cache/cache.hpp"
