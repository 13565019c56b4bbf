# Asks the compiler which files the public headers make it read, and fails where torch's dispatcher is one: kernels are reached by a
# table (tensor/kernel_table.hpp), so that nobody who uses a header compiles torch's registration of operators.
#   cmake -D COMPILER=<g++> -D INCLUDE_DIR=<holds kvtransfer/> -D "DIRS=<torch's and others'>" -D "HEADERS=<below kvtransfer/>" -P dispatcher.cmake

list(REMOVE_ITEM DIRS /usr/include) # named, it would hide the C library from the C++ one
list(TRANSFORM DIRS PREPEND "-isystem")
list(TRANSFORM HEADERS REPLACE "(.+)" "-include;kvtransfer/\\1")
execute_process(
  COMMAND "${COMPILER}" -std=c++20 -M "-I${INCLUDE_DIR}" ${DIRS} ${HEADERS} -x c++ /dev/null
  OUTPUT_VARIABLE files
  ERROR_VARIABLE complaint
  RESULT_VARIABLE result)
if(NOT result EQUAL 0)
  message(FATAL_ERROR "the public headers can't be read:\n${complaint}")
endif()
if(NOT files MATCHES "ATen/core/TensorBody\\.h")
  message(FATAL_ERROR "the public headers were not read: no tensors among\n${files}")
endif()
string(REGEX MATCHALL "ATen/core/dispatch/[A-Za-z]+\\.h|ATen/core/boxing/[A-Za-z]+\\.h|torch/library\\.h" found "${files}")
if(found)
  message(NOTICE "public headers show ${found}") # an error would be broken into lines of its own
  message(FATAL_ERROR "public headers show torch's dispatcher")
endif()
