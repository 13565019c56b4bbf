#pragma once

#include "kvtransfer/rope/shift.hpp"
