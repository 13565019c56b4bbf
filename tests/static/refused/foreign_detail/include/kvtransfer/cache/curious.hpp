#pragma once

#include "kvtransfer/rope/detail/secret.hpp"
