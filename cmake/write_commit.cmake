# Writes the source that names the commit which is being built: cmake -D SOURCE_DIR=… -D OUTPUT=… -P write_commit.cmake.
# The file changes only where the commit does, so that nothing else is compiled again.

find_program(git git)
set(commit "")
if(git)
  execute_process(COMMAND "${git}" -C "${SOURCE_DIR}" rev-parse --short=12 HEAD OUTPUT_VARIABLE commit OUTPUT_STRIP_TRAILING_WHITESPACE
                  RESULT_VARIABLE failed ERROR_QUIET)
  execute_process(COMMAND "${git}" -C "${SOURCE_DIR}" diff --quiet HEAD -- RESULT_VARIABLE changed OUTPUT_QUIET ERROR_QUIET)
  if(failed)
    set(commit "")
  elseif(changed)
    string(APPEND commit "+")
  endif()
endif()
file(CONFIGURE OUTPUT "${OUTPUT}" CONTENT [[
#include "experiment/library_commit.hpp"

std::string kvtransfer::detail::library_commit() { return "@commit@"; }
]] @ONLY)
