# Targets for contributors, not built by default and not part of the tests:
#   format, format_check   lay C++ and CUDA files out by .clang-format; or say which are not
#   tidy                   .clang-tidy's checks on every translation unit and the headers it reads
#   docs                   the public headers' reference; fails on a public name without a comment
#   aarch64                all public headers and the kernels but those for AVX, compiled for a processor that nothing is run on
# The first three want the tools of cmake/requirements-dev.txt, beside the Python in use or on the PATH; docs wants Doxygen,
# aarch64 Debian's g++-aarch64-linux-gnu.

get_filename_component(python_tools "${KVTRANSFER_TORCH_DIR}/../../../../bin" ABSOLUTE) # the venv that has torch
find_program(KVTRANSFER_CLANG_FORMAT clang-format HINTS "${python_tools}")
find_program(KVTRANSFER_CLANG_TIDY clang-tidy HINTS "${python_tools}")
find_program(KVTRANSFER_DOXYGEN doxygen)
find_program(KVTRANSFER_AARCH64_CXX aarch64-linux-gnu-g++)
mark_as_advanced(KVTRANSFER_CLANG_FORMAT KVTRANSFER_CLANG_TIDY KVTRANSFER_DOXYGEN KVTRANSFER_AARCH64_CXX)

if(KVTRANSFER_CLANG_FORMAT)
  set(of_every_file "git ls-files -z '*.hpp' '*.ipp' '*.cpp' '*.cu' '*.cuh' | xargs -0 '${KVTRANSFER_CLANG_FORMAT}'")
  add_custom_target(format COMMAND sh -c "${of_every_file} -i" WORKING_DIRECTORY "${PROJECT_SOURCE_DIR}" VERBATIM)
  add_custom_target(
    format_check COMMAND sh -c "${of_every_file} --dry-run --Werror" WORKING_DIRECTORY "${PROJECT_SOURCE_DIR}" VERBATIM)
endif()

if(KVTRANSFER_CLANG_TIDY)
  # File by file, since clang-tidy infers the command of one that is compiled as part of a unity build; an hour and a half
  # of a core. Files for CUDA's headers are left out: the commands are those of a build without.
  execute_process(COMMAND "${CMAKE_CXX_COMPILER}" -print-file-name=include OUTPUT_VARIABLE omp_dir OUTPUT_STRIP_TRAILING_WHITESPACE)
  cmake_host_system_information(RESULT cores QUERY NUMBER_OF_LOGICAL_CORES)
  set(of_every_source "git ls-files -z 'src/*.cpp' 'examples/*.cpp' ':!*_cuda.cpp' | xargs -0 -n 1 -P ${cores} '${KVTRANSFER_CLANG_TIDY}'")
  # Clang can't read what GCC precompiled, so it is given the commands of a build without.
  set(tidy_dir "${PROJECT_BINARY_DIR}/tidy")
  add_custom_target(
    tidy
    COMMAND "${CMAKE_COMMAND}" -S "${PROJECT_SOURCE_DIR}" -B "${tidy_dir}" -G "${CMAKE_GENERATOR}" "-DCMAKE_BUILD_TYPE=${CMAKE_BUILD_TYPE}"
            -DKVTRANSFER_PRECOMPILE=OFF -DKVTRANSFER_CUDA=off "-DKVTRANSFER_TORCH_DIR=${KVTRANSFER_TORCH_DIR}"
    COMMAND sh -c "${of_every_source} -quiet -p '${tidy_dir}' --extra-arg='-idirafter${omp_dir}'"
    WORKING_DIRECTORY "${PROJECT_SOURCE_DIR}"
    VERBATIM)
endif()

if(KVTRANSFER_DOXYGEN)
  configure_file("${PROJECT_SOURCE_DIR}/cmake/Doxyfile.in" "${PROJECT_BINARY_DIR}/Doxyfile" @ONLY)
  add_custom_target(docs COMMAND "${KVTRANSFER_DOXYGEN}" "${PROJECT_BINARY_DIR}/Doxyfile" VERBATIM)
endif()

if(KVTRANSFER_AARCH64_CXX)
  set(as_aarch64
      "${KVTRANSFER_AARCH64_CXX}" -std=c++20 -O2 -fPIC -fopenmp -Wno-psabi
      "-isystem$<JOIN:$<TARGET_PROPERTY:kvtransfer_kernels,INCLUDE_DIRECTORIES>,$<SEMICOLON>-isystem>")
  set(umbrellas -include kvtransfer/kvtransfer.hpp -include kvtransfer/model.hpp -include kvtransfer/experiment.hpp)
  set(commands COMMAND ${as_aarch64} -fsyntax-only ${umbrellas} -x c++ /dev/null)
  get_target_property(portable_sources kvtransfer_kernels SOURCES)
  list(FILTER portable_sources EXCLUDE REGEX "_avx[0-9]+\\.cpp$|\\.cu$")
  foreach(source IN LISTS portable_sources)
    list(APPEND commands COMMAND ${as_aarch64} -c "${source}" -o /dev/null)
  endforeach()
  add_custom_target(aarch64 ${commands} COMMAND_EXPAND_LISTS VERBATIM)
endif()
