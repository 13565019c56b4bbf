#pragma once

#include "kvtransfer/cache/slice.hpp"
