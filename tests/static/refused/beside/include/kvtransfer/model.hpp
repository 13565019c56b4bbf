#pragma once

#include "kvtransfer/model/session.hpp"
