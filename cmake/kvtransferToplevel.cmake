# What only holds when this is the project being built, and would be an imposition on somebody else's.

if(NOT CMAKE_BUILD_TYPE AND NOT CMAKE_CONFIGURATION_TYPES)
  set(CMAKE_BUILD_TYPE Release CACHE STRING "Kind of build" FORCE)
endif()

set(CMAKE_RUNTIME_OUTPUT_DIRECTORY "${CMAKE_BINARY_DIR}/bin")
set(CMAKE_LIBRARY_OUTPUT_DIRECTORY "${CMAKE_BINARY_DIR}/lib")
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
set(CMAKE_CXX_EXTENSIONS OFF)

# Headers of torch take seconds a file; a second build of the same text should take none.
find_program(CCACHE_PROGRAM ccache)
mark_as_advanced(CCACHE_PROGRAM)
if(CCACHE_PROGRAM)
  foreach(language CXX CUDA)
    if(NOT DEFINED CMAKE_${language}_COMPILER_LAUNCHER)
      # Without the first it takes no file that includes a precompiled header. The second has it ask the compiler what a file includes,
      # where it would run the preprocessor for that: a second for each file that it does not know.
      set(CMAKE_${language}_COMPILER_LAUNCHER "${CMAKE_COMMAND}" -E env CCACHE_SLOPPINESS=pch_defines,time_macros CCACHE_DEPEND=1
                                              "${CCACHE_PROGRAM}")
    endif()
  endforeach()
endif()

# nvcc hands what it does not know to the host compiler with other spellings, so warnings are for C++ files only.
add_compile_options("$<$<COMPILE_LANGUAGE:CXX>:-Wall;-Wextra>")

if(KVTRANSFER_SANITIZE)
  # vptr needs type information that torch keeps to itself; the rest looks at our code alone.
  set(sanitizers -fsanitize=address,undefined -fno-sanitize=vptr -fno-sanitize-recover=undefined)
  add_compile_options("$<$<COMPILE_LANGUAGE:CXX>:${sanitizers};-fno-omit-frame-pointer>")
  add_link_options("$<$<LINK_LANGUAGE:CXX>:${sanitizers}>")
endif()
