#include "kvtransfer/project/maps.hpp"
