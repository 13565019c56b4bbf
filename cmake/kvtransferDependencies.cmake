# Installed packages first; what is missing is fetched. Torch is never fetched: cmake/bootstrap.sh installs its wheel.

include(FetchContent)

# A fetched dependency has to be installed with us, else install(EXPORT) refuses to name it.
set(FMT_INSTALL ON)
set(JSON_Install ON)

FetchContent_Declare(
  nlohmann_json
  GIT_REPOSITORY https://github.com/nlohmann/json.git
  GIT_TAG v3.11.3
  GIT_SHALLOW ON
  FIND_PACKAGE_ARGS 3.11)
FetchContent_MakeAvailable(nlohmann_json)

find_package(ZLIB REQUIRED GLOBAL) # checksums of cache files

include(kvtransferTorch)
if(NOT KVTRANSFER_TORCH_FOUND)
  message(
    FATAL_ERROR
      "kvtransfer: no PyTorch found. `cmake/bootstrap.sh test` installs one into .venv; or name one: "
      "-DKVTRANSFER_PYTHON=<python that imports torch> or -DKVTRANSFER_TORCH_DIR=<folder with torch's include/ and lib/>")
endif()
if(KVTRANSFER_TORCH_VERSION AND KVTRANSFER_TORCH_VERSION VERSION_LESS 2.7)
  # Wheels before it are compiled for the string type of before C++11, and nothing that takes a string links.
  message(FATAL_ERROR "kvtransfer: torch: expected 2.7 or newer, got ${KVTRANSFER_TORCH_VERSION} in ${KVTRANSFER_TORCH_DIR}")
endif()
message(STATUS "kvtransfer: torch ${KVTRANSFER_TORCH_VERSION} in ${KVTRANSFER_TORCH_DIR}")

# Torch's wheel has headers of fmt, which every file finds first, and no library that fits them: theirs is compiled here.
set(KVTRANSFER_FMT_OF_TORCH FALSE)
if(EXISTS "${KVTRANSFER_TORCH_DIR}/include/fmt/format-inl.h")
  set(KVTRANSFER_FMT_OF_TORCH TRUE)
else()
  FetchContent_Declare(
    fmt
    GIT_REPOSITORY https://github.com/fmtlib/fmt.git
    GIT_TAG 11.0.2
    GIT_SHALLOW ON
    FIND_PACKAGE_ARGS 9)
  FetchContent_MakeAvailable(fmt)
  if(TARGET fmt)
    set_target_properties(fmt PROPERTIES POSITION_INDEPENDENT_CODE ON) # the kernels are a shared library
  endif()
endif()

# What kvtransfer::model is made of; a project that only moves caches needs none of it.
set(KVTRANSFER_HAS_MODEL TRUE)
find_package(SentencePiece QUIET)
find_package(PCRE2 QUIET)
find_package(utf8proc QUIET)
find_package(xxHash QUIET) # digests of models; the header alone
find_package(Boost 1.74 QUIET CONFIG) # quantiles and tails; headers alone
foreach(package SentencePiece PCRE2 utf8proc xxHash Boost)
  if(NOT ${package}_FOUND)
    set(KVTRANSFER_HAS_MODEL FALSE)
    set(missing "${package} (Debian: libsentencepiece-dev libpcre2-dev libutf8proc-dev libxxhash-dev libboost-math-dev)")
    if(KVTRANSFER_TESTS OR KVTRANSFER_EXAMPLES)
      message(FATAL_ERROR "kvtransfer: tests and examples need ${missing}")
    endif()
    message(STATUS "kvtransfer: no ${missing}, so no kvtransfer::model")
  endif()
endforeach()

if(KVTRANSFER_TESTS)
  FetchContent_Declare(
    Catch2
    GIT_REPOSITORY https://github.com/catchorg/Catch2.git
    GIT_TAG v3.7.1
    GIT_SHALLOW ON
    FIND_PACKAGE_ARGS)
  FetchContent_MakeAvailable(Catch2)
endif()
if(KVTRANSFER_EXAMPLES)
  FetchContent_Declare(
    CLI11
    GIT_REPOSITORY https://github.com/CLIUtils/CLI11.git
    GIT_TAG v2.4.2
    GIT_SHALLOW ON
    FIND_PACKAGE_ARGS 2)
  FetchContent_MakeAvailable(CLI11)
endif()
