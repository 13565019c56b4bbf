#pragma once

#include "kvtransfer/core/detail/secret.hpp"
