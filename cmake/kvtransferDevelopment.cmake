# Targets for contributors, not built by default and not part of the tests:
#   format, format_check   lay C++ and CUDA files out by .clang-format; or say which are not
#   tidy                   .clang-tidy's checks on every translation unit and the headers it reads
#   docs                   the public headers' reference; fails on a public name without a comment
# The first three want the tools of cmake/requirements-dev.txt, beside the Python in use or on the PATH; docs wants Doxygen.

get_filename_component(python_tools "${KVTRANSFER_TORCH_DIR}/../../../../bin" ABSOLUTE) # the venv that has torch
find_program(KVTRANSFER_CLANG_FORMAT clang-format HINTS "${python_tools}")
find_program(KVTRANSFER_RUN_CLANG_TIDY NAMES run-clang-tidy run-clang-tidy.py HINTS "${python_tools}")
find_program(KVTRANSFER_CLANG_TIDY clang-tidy HINTS "${python_tools}")
find_program(KVTRANSFER_DOXYGEN doxygen)
mark_as_advanced(KVTRANSFER_CLANG_FORMAT KVTRANSFER_RUN_CLANG_TIDY KVTRANSFER_CLANG_TIDY KVTRANSFER_DOXYGEN)

if(KVTRANSFER_CLANG_FORMAT)
  set(of_every_file "git ls-files -z '*.hpp' '*.cpp' '*.cu' '*.cuh' | xargs -0 '${KVTRANSFER_CLANG_FORMAT}'")
  add_custom_target(format COMMAND sh -c "${of_every_file} -i" WORKING_DIRECTORY "${PROJECT_SOURCE_DIR}" VERBATIM)
  add_custom_target(
    format_check COMMAND sh -c "${of_every_file} --dry-run --Werror" WORKING_DIRECTORY "${PROJECT_SOURCE_DIR}" VERBATIM)
endif()

if(KVTRANSFER_RUN_CLANG_TIDY AND KVTRANSFER_CLANG_TIDY)
  # Only files of ours; each is compiled anew, so minutes a core.
  add_custom_target(
    tidy
    COMMAND "${KVTRANSFER_RUN_CLANG_TIDY}" -quiet -clang-tidy-binary "${KVTRANSFER_CLANG_TIDY}" -p "${PROJECT_BINARY_DIR}"
            "${PROJECT_SOURCE_DIR}/(src|examples|tests/package)/.*\\.cpp"
    WORKING_DIRECTORY "${PROJECT_SOURCE_DIR}"
    VERBATIM)
endif()

if(KVTRANSFER_DOXYGEN)
  configure_file("${PROJECT_SOURCE_DIR}/cmake/Doxyfile.in" "${PROJECT_BINARY_DIR}/Doxyfile" @ONLY)
  add_custom_target(docs COMMAND "${KVTRANSFER_DOXYGEN}" "${PROJECT_BINARY_DIR}/Doxyfile" VERBATIM)
endif()
