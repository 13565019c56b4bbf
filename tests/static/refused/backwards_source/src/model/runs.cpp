#include "experiment/run.hpp"
