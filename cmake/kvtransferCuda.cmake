# Decides whether the CUDA kernels are compiled; sets KVTRANSFER_HAS_NVCC.

set(KVTRANSFER_HAS_NVCC FALSE)

if(NOT KVTRANSFER_CUDA STREQUAL "off")
  # Turing (the GTX 1660 of the Phase 2a report) and Hopper as machine code, every architecture between and after from PTX.
  if(NOT DEFINED CMAKE_CUDA_ARCHITECTURES)
    set(CMAKE_CUDA_ARCHITECTURES 75 90)
  endif()

  # The toolkit's installer leaves nvcc off the PATH.
  if(NOT DEFINED CMAKE_CUDA_COMPILER AND NOT DEFINED ENV{CUDACXX})
    find_program(KVTRANSFER_NVCC nvcc HINTS ENV CUDA_HOME ENV CUDA_PATH PATHS /usr/local/cuda PATH_SUFFIXES bin)
    mark_as_advanced(KVTRANSFER_NVCC)
    if(KVTRANSFER_NVCC)
      set(ENV{CUDACXX} "${KVTRANSFER_NVCC}")
    endif()
  endif()

  include(CheckLanguage)
  check_language(CUDA)
  if(CMAKE_CUDA_COMPILER AND NOT KVTRANSFER_TORCH_CUDA_VERSION STREQUAL "")
    enable_language(CUDA)
    # Two CUDA runtimes of different major versions in one process do not share streams.
    string(REGEX MATCH "^[0-9]+" torch_major "${KVTRANSFER_TORCH_CUDA_VERSION}")
    string(REGEX MATCH "^[0-9]+" nvcc_major "${CMAKE_CUDA_COMPILER_VERSION}")
    if(torch_major STREQUAL nvcc_major)
      set(KVTRANSFER_HAS_NVCC TRUE)
    else()
      set(why_not "nvcc is ${CMAKE_CUDA_COMPILER_VERSION}, torch was built with CUDA ${KVTRANSFER_TORCH_CUDA_VERSION}")
    endif()
  elseif(CMAKE_CUDA_COMPILER)
    set(why_not "this torch has no CUDA")
  else()
    set(why_not "no working nvcc")
  endif()
else()
  set(why_not "switched off")
endif()

if(KVTRANSFER_HAS_NVCC)
  message(STATUS "kvtransfer: CUDA kernels for architectures ${CMAKE_CUDA_ARCHITECTURES}, nvcc ${CMAKE_CUDA_COMPILER_VERSION}")
elseif(KVTRANSFER_CUDA STREQUAL "on")
  message(FATAL_ERROR "kvtransfer: KVTRANSFER_CUDA=on, but ${why_not}")
else()
  message(STATUS "kvtransfer: no CUDA kernels (${why_not}); tensors on a GPU go through ATen")
endif()
