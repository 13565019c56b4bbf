# Fuzzes the harness NAME, built in BUILD, for SECONDS. New inputs are left in BUILD/found/NAME, those that fail beside it.

set(program "${BUILD}/bin/${NAME}_fuzz")
if(NOT EXISTS "${program}")
  message("skipped: the fuzzers were not built")
  return()
endif()
set(found "${BUILD}/found/${NAME}")
file(MAKE_DIRECTORY "${found}")
execute_process(
  COMMAND "${program}" -max_total_time=${SECONDS} -timeout=25 -print_final_stats=1 -verbosity=0
          "-artifact_prefix=${found}-" "-dict=${CMAKE_CURRENT_LIST_DIR}/${NAME}.dict" "${found}"
          "${CMAKE_CURRENT_LIST_DIR}/corpus/${NAME}" COMMAND_ERROR_IS_FATAL ANY)
