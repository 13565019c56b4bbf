#pragma once

#include "kvtransfer/cache/detail/pieces.hpp"
