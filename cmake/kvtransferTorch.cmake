# Defines the imported target `kvtransfer::torch`, from the files of a PyTorch wheel or of a libtorch archive.
#
# Torch's own TorchConfig.cmake is not used. In the only wheel that PyPI has for x86 Linux it is a fatal error on a machine
# without the CUDA toolkit, and with the toolkit it rewrites CMAKE_CUDA_FLAGS, ignores CMAKE_CUDA_ARCHITECTURES and exports
# absolute paths. The libraries link without any of that, so there is one way for every machine, for this project and for
# those that install it. A project that has called find_package(Torch) itself keeps its own target.
#
# Where torch is looked for, first hit wins:
#   KVTRANSFER_TORCH_DIR              the folder that holds torch's include/ and lib/
#   CMAKE_PREFIX_PATH, Torch_DIR      as for find_package(Torch)
#   kvtransfer_built_with_torch_dir   set by an installed kvtransferConfig.cmake: the torch its kernels were linked to
#   KVTRANSFER_PYTHON, VIRTUAL_ENV, .venv beside the top-level CMakeLists.txt, python3: wherever that Python has torch

include_guard(DIRECTORY)

# Writes the folder of the torch package that `python` would import into `result`; empty where it has none.
function(kvtransfer_torch_of_python python result)
  # find_spec locates the package without importing it: importing takes seconds.
  execute_process(
    COMMAND "${python}" -c
            "import importlib.util as u; s = u.find_spec('torch'); print(s.submodule_search_locations[0] if s else '')"
    OUTPUT_VARIABLE folder
    OUTPUT_STRIP_TRAILING_WHITESPACE
    ERROR_QUIET)
  set(${result} "${folder}" PARENT_SCOPE)
endfunction()

# Takes `folder` as KVTRANSFER_TORCH_DIR if it is one and none is set. Asks for the library too: Debian's own libtorch (1.13, too
# old) has its headers below /usr/include, but no such folder.
function(kvtransfer_try_torch folder)
  if(NOT KVTRANSFER_TORCH_DIR AND EXISTS "${folder}/include/ATen/core/Tensor.h"
     AND EXISTS "${folder}/lib/${CMAKE_SHARED_LIBRARY_PREFIX}c10${CMAKE_SHARED_LIBRARY_SUFFIX}")
    set(KVTRANSFER_TORCH_DIR "${folder}" CACHE PATH "Folder that holds torch's include/ and lib/" FORCE)
  endif()
endfunction()

function(kvtransfer_locate_torch)
  # torch.utils.cmake_prefix_path is <torch>/share/cmake, so a prefix holds Torch/TorchConfig.cmake or share/cmake/Torch/...
  find_path(config_prefix NAMES Torch/TorchConfig.cmake PATH_SUFFIXES share/cmake NO_CMAKE_SYSTEM_PATH NO_CACHE)
  foreach(config_dir "${Torch_DIR}" "${config_prefix}/Torch")
    get_filename_component(folder "${config_dir}/../../.." ABSOLUTE)
    kvtransfer_try_torch("${folder}")
  endforeach()
  kvtransfer_try_torch("${kvtransfer_built_with_torch_dir}")
  foreach(python "${KVTRANSFER_PYTHON}" "$ENV{KVTRANSFER_PYTHON}" "$ENV{VIRTUAL_ENV}/bin/python"
                 "${CMAKE_SOURCE_DIR}/.venv/bin/python" python3)
    if(python AND NOT KVTRANSFER_TORCH_DIR)
      kvtransfer_torch_of_python("${python}" folder)
      kvtransfer_try_torch("${folder}")
    endif()
  endforeach()
endfunction()

# Torch's version and the CUDA version it was built with (empty for a CPU build), from files that it ships.
function(kvtransfer_torch_version version cuda_version)
  set(found "")
  set(cuda "")
  if(EXISTS "${KVTRANSFER_TORCH_DIR}/version.py") # wheel
    file(STRINGS "${KVTRANSFER_TORCH_DIR}/version.py" lines REGEX "^(__version__|cuda)")
    string(REGEX MATCH "__version__ = '([0-9.]+)" _ "${lines}")
    set(found "${CMAKE_MATCH_1}")
    if("${lines}" MATCHES "cuda[^;]* = '([0-9.]+)'")
      set(cuda "${CMAKE_MATCH_1}")
    endif()
  elseif(EXISTS "${KVTRANSFER_TORCH_DIR}/build-version") # libtorch archive
    file(STRINGS "${KVTRANSFER_TORCH_DIR}/build-version" line LIMIT_COUNT 1)
    string(REGEX MATCH "^[0-9.]+" found "${line}")
    if("${line}" MATCHES "\\+cu([0-9]+)([0-9])$")
      set(cuda "${CMAKE_MATCH_1}.${CMAKE_MATCH_2}")
    endif()
  endif()
  set(${version} "${found}" PARENT_SCOPE)
  set(${cuda_version} "${cuda}" PARENT_SCOPE)
endfunction()

# An imported library of torch's by file name; nothing where this build of torch lacks it.
function(kvtransfer_import_torch_library name)
  set(file "${KVTRANSFER_TORCH_DIR}/lib/${CMAKE_SHARED_LIBRARY_PREFIX}${name}${CMAKE_SHARED_LIBRARY_SUFFIX}")
  if(EXISTS "${file}")
    add_library(kvtransfer::torch_file_${name} SHARED IMPORTED GLOBAL)
    set_target_properties(kvtransfer::torch_file_${name} PROPERTIES IMPORTED_LOCATION "${file}")
    target_link_libraries(kvtransfer::torch INTERFACE kvtransfer::torch_file_${name})
  endif()
endfunction()

function(kvtransfer_import_torch)
  add_library(kvtransfer::torch INTERFACE IMPORTED GLOBAL)
  target_include_directories(
    kvtransfer::torch INTERFACE "${KVTRANSFER_TORCH_DIR}/include"
                                "${KVTRANSFER_TORCH_DIR}/include/torch/csrc/api/include")
  # Nothing refers to libtorch_cuda by symbol: it registers itself when loaded, and a linker that drops unreferenced libraries
  # (Ubuntu's default) would leave a program without CUDA.
  if(UNIX AND NOT APPLE)
    target_link_options(kvtransfer::torch INTERFACE LINKER:--no-as-needed)
  endif()
  # Torch's libraries export the std::filesystem of the compiler that built them, which has another layout than that of GCC 12:
  # the C++ library has to be searched first.
  if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    target_link_libraries(kvtransfer::torch INTERFACE stdc++)
  endif()
  foreach(name torch torch_cuda torch_cpu c10_cuda c10)
    kvtransfer_import_torch_library(${name})
  endforeach()
endfunction()

if(NOT TARGET kvtransfer::torch)
  if(TARGET torch)
    add_library(kvtransfer::torch INTERFACE IMPORTED GLOBAL)
    target_link_libraries(kvtransfer::torch INTERFACE torch)
    set(KVTRANSFER_TORCH_DIR "${TORCH_INSTALL_PREFIX}") # as TorchConfig.cmake calls it
    set(KVTRANSFER_TORCH_FOUND TRUE)
  else()
    kvtransfer_locate_torch()
    if(EXISTS "${KVTRANSFER_TORCH_DIR}/include/ATen/core/Tensor.h")
      kvtransfer_import_torch()
      set(KVTRANSFER_TORCH_FOUND TRUE)
    else()
      set(KVTRANSFER_TORCH_FOUND FALSE)
    endif()
  endif()
endif()
kvtransfer_torch_version(KVTRANSFER_TORCH_VERSION KVTRANSFER_TORCH_CUDA_VERSION)
