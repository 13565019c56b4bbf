// Catch2 version 2 wants its main compiled once, somewhere; version 3 brings its own in Catch2::Catch2WithMain.
#define CATCH_CONFIG_MAIN
#include <catch2/catch.hpp>
