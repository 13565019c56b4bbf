#pragma once

#include "kvtransfer/project/maps.hpp"
