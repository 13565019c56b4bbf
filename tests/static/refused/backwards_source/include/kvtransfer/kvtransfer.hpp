#pragma once

#include "kvtransfer/core/error.hpp"
