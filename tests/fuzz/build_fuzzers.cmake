# Builds TARGET, a harness or `fuzzers`, with libFuzzer in BUILD, against the torch in TORCH_DIR. Says "skipped:" where no Clang has libFuzzer.

find_program(clang clang++)
file(WRITE "${BUILD}/probe.cpp" "extern \"C\" int LLVMFuzzerTestOneInput(const char*, unsigned long) { return 0; }\n")
if(clang)
  execute_process(COMMAND "${clang}" -fsanitize=fuzzer,address "${BUILD}/probe.cpp" -o "${BUILD}/probe" RESULT_VARIABLE failed
                  OUTPUT_QUIET ERROR_QUIET)
endif()
if(NOT clang OR failed)
  message("skipped: no clang++ with libFuzzer (Debian: clang, libclang-rt-dev)")
  return()
endif()

cmake_path(GET CMAKE_CURRENT_LIST_DIR PARENT_PATH tests)
cmake_path(GET tests PARENT_PATH root)
execute_process(COMMAND "${CMAKE_COMMAND}" --preset fuzz -B "${BUILD}" -D "KVTRANSFER_TORCH_DIR=${TORCH_DIR}"
                WORKING_DIRECTORY "${root}" COMMAND_ERROR_IS_FATAL ANY)
execute_process(COMMAND "${CMAKE_COMMAND}" --build "${BUILD}" --target "${TARGET}" COMMAND_ERROR_IS_FATAL ANY)
