# The one compiled part: a shared library that registers its operators with torch's dispatcher when loaded. Shared, because a
# second registration of the same operator aborts, so every program and Python must meet the very same copy.

file(GLOB_RECURSE kernel_sources CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/src/kernels/*.cpp")
file(GLOB_RECURSE kernel_cuda_sources CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/src/kernels/*_cuda.cpp" "${PROJECT_SOURCE_DIR}/src/kernels/*.cu")
list(REMOVE_ITEM kernel_sources ${kernel_cuda_sources})

# A variant is chosen at run time by the processor's capabilities; the end of its file name says what it may assume. Such a file
# includes plain structs and intrinsics only: an inline function of a shared header, compiled here for AVX-512, could be the copy
# that the linker keeps for everybody.
set(avx2 -mavx2 -mfma -mf16c)
# Without the last, GCC warns of its own _mm512_undefined_ps (GCC bug 105593).
set(avx512 ${avx2} -mavx512f -mavx512bw -mavx512vl -mavx512dq -Wno-uninitialized)
if(NOT CMAKE_SYSTEM_PROCESSOR MATCHES "^(x86_64|AMD64|amd64)$")
  list(FILTER kernel_sources EXCLUDE REGEX "_avx[0-9]+\\.cpp$")
endif()
foreach(source IN LISTS kernel_sources)
  if(source MATCHES "_(avx[0-9]+)\\.cpp$")
    set_source_files_properties("${source}" PROPERTIES COMPILE_OPTIONS "${${CMAKE_MATCH_1}}" SKIP_PRECOMPILE_HEADERS ON)
  endif()
endforeach()
# What knows torch; variants, which have their names in common, stay apart.
set(kernel_sources_of_torch ${kernel_sources})
list(FILTER kernel_sources_of_torch EXCLUDE REGEX "_(scalar|avx[0-9]+)\\.cpp$")

# Headers ask the loader for it by the file name (tensor/kernel_table.hpp): no other OUTPUT_NAME, VERSION or SOVERSION.
add_library(kvtransfer_kernels SHARED ${kernel_sources})
add_library(kvtransfer::kernels ALIAS kvtransfer_kernels)
target_link_libraries(kvtransfer_kernels PUBLIC kvtransfer)
target_include_directories(kvtransfer_kernels PRIVATE "${PROJECT_SOURCE_DIR}/src")
set_target_properties(kvtransfer_kernels PROPERTIES EXPORT_NAME kernels CXX_VISIBILITY_PRESET hidden)
kvtransfer_compile_together(kvtransfer_kernels ${kernel_sources_of_torch})
kvtransfer_precompile(kvtransfer_kernels <torch/library.h>)

# at::parallel_for is a template over OpenMP: compiled without, it runs on one thread and says nothing. Not OpenMP::OpenMP_CXX,
# which names the compiler's copy of the library by path; the one to load is the copy that torch brings.
target_compile_options(kvtransfer_kernels PRIVATE "$<$<COMPILE_LANGUAGE:CXX>:-fopenmp>")
target_link_options(kvtransfer_kernels PRIVATE -fopenmp)

# The files of a folder for nvcc at once, which reads headers of torch three times for each: most of its time. CMake itself
# joins files of CUDA from 3.31 on.
if(KVTRANSFER_HAS_NVCC AND KVTRANSFER_UNITY)
  set(kernel_cuda_files ${kernel_cuda_sources})
  list(FILTER kernel_cuda_files INCLUDE REGEX "\\.cu$")
  list(REMOVE_ITEM kernel_cuda_sources ${kernel_cuda_files})
  set(folders)
  foreach(source IN LISTS kernel_cuda_files)
    cmake_path(RELATIVE_PATH source BASE_DIRECTORY "${PROJECT_SOURCE_DIR}/src")
    cmake_path(GET source PARENT_PATH folder)
    string(MAKE_C_IDENTIFIER "${folder}" folder)
    list(APPEND folders ${folder})
    string(APPEND cuda_of_${folder} "#include \"${source}\"\n")
  endforeach()
  list(REMOVE_DUPLICATES folders)
  foreach(folder IN LISTS folders)
    set(together "${PROJECT_BINARY_DIR}/together/${folder}.cu")
    file(CONFIGURE OUTPUT "${together}" CONTENT "${cuda_of_${folder}}" @ONLY)
    list(APPEND kernel_cuda_sources "${together}")
  endforeach()
endif()

if(KVTRANSFER_HAS_NVCC)
  target_sources(kvtransfer_kernels PRIVATE ${kernel_cuda_sources})
  target_compile_features(kvtransfer_kernels PRIVATE cuda_std_20)
  target_include_directories(kvtransfer_kernels SYSTEM PRIVATE ${CMAKE_CUDA_TOOLKIT_INCLUDE_DIRECTORIES}) # for *_cuda.cpp
  # The runtime that torch itself loads, not a second, static one: streams and the current device belong to a runtime.
  set_target_properties(kvtransfer_kernels PROPERTIES CUDA_RUNTIME_LIBRARY Shared CUDA_VISIBILITY_PRESET hidden)
  # At run time the loader must find torch's copy of it, beside torch in a wheel's environment or among an archive's libraries.
  file(GLOB torch_cudart "${KVTRANSFER_TORCH_DIR}/../nvidia/*/lib/libcudart.so*")
  if(torch_cudart)
    list(GET torch_cudart 0 torch_cudart)
    get_filename_component(torch_cudart_dir "${torch_cudart}" DIRECTORY)
    get_filename_component(torch_cudart_dir "${torch_cudart_dir}" REALPATH)
    set_property(TARGET kvtransfer_kernels APPEND PROPERTY BUILD_RPATH "${torch_cudart_dir}")
    set_property(TARGET kvtransfer_kernels APPEND PROPERTY INSTALL_RPATH "${torch_cudart_dir}")
  endif()
endif()

# Programs refer to no symbol of it, and a linker told to drop unreferenced libraries (by Ubuntu, or by the targets of
# find_package(Torch)) would drop it in silence.
if(UNIX AND NOT APPLE)
  target_link_libraries(kvtransfer_kernels
                        INTERFACE "-Wl,--push-state,--no-as-needed,$<TARGET_FILE:kvtransfer::kernels>,--pop-state")
endif()

# An installed library finds the torch that it was linked to. INSTALL_RPATH_USE_LINK_PATH would leave out a .venv in the checkout.
set_property(TARGET kvtransfer_kernels APPEND PROPERTY INSTALL_RPATH "${KVTRANSFER_TORCH_DIR}/lib")
