#pragma once

/// A model's parameters: what they are, read from a folder, written to one, or drawn at random.

#include "kvtransfer/model/weights/load.hpp"
#include "kvtransfer/model/weights/parameters.hpp"
#include "kvtransfer/model/weights/random.hpp"
#include "kvtransfer/model/weights/save.hpp"
