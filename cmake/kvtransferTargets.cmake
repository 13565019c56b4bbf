# kvtransfer::kvtransfer (headers), kvtransfer::compiled (the same, compiled once) and kvtransfer::model (static libraries),
# kvtransfer::kernels (a shared library).

option(KVTRANSFER_PRECOMPILE "Parse headers of torch, fmt and JSON once a target instead of once a file" ${PROJECT_IS_TOP_LEVEL})

# Compiles what `target`'s files see anyway beforehand: more than half of their time.
function(kvtransfer_precompile target)
  if(KVTRANSFER_PRECOMPILE)
    target_precompile_headers(${target} PRIVATE <ATen/core/Tensor.h> <fmt/format.h> <nlohmann/json.hpp> ${ARGN})
  endif()
endfunction()

option(KVTRANSFER_UNITY "Compile several files of a folder at once: headers of torch are most of the time" ON)

# More: less is parsed and instantiated again, for a build that begins with nothing; fewer: less to compile after a change of one.
set(KVTRANSFER_UNITY_FILES 14 CACHE STRING "How many files are compiled at once at most")
if(NOT KVTRANSFER_UNITY_FILES MATCHES "^[1-9][0-9]*$")
  message(FATAL_ERROR "KVTRANSFER_UNITY_FILES: expected a number of files, 1 or more, got '${KVTRANSFER_UNITY_FILES}'")
endif()

# As many of `count` files at once as makes the batches equal.
function(kvtransfer_batch_size count result)
  math(EXPR batches "(${count} + ${KVTRANSFER_UNITY_FILES} - 1) / ${KVTRANSFER_UNITY_FILES}")
  math(EXPR size "(${count} + ${batches} - 1) / ${batches}")
  set(${result} ${size} PARENT_SCOPE)
endfunction()

# Compiles the sources of `target` that lie in one folder of src, however deep, together. So what a file keeps to itself, in an unnamed
# namespace, has a name that no other file of that folder gives.
function(kvtransfer_compile_together target)
  set_target_properties(${target} PROPERTIES UNITY_BUILD ${KVTRANSFER_UNITY} UNITY_BUILD_MODE GROUP
                                             UNITY_BUILD_RELOCATABLE ON) # so that ccache knows a second clone's files again
  set(folders)
  foreach(source IN LISTS ARGN)
    cmake_path(RELATIVE_PATH source BASE_DIRECTORY "${PROJECT_SOURCE_DIR}/src" OUTPUT_VARIABLE folder)
    string(REGEX REPLACE "/.*" "" folder "${folder}")
    list(APPEND folders ${folder})
    list(APPEND ${folder} "${source}")
  endforeach()
  list(REMOVE_DUPLICATES folders)
  foreach(folder IN LISTS folders)
    list(LENGTH ${folder} count)
    kvtransfer_batch_size(${count} size)
    set(index 0)
    foreach(source IN LISTS ${folder})
      math(EXPR number "${index} / ${size}")
      math(EXPR index "${index} + 1")
      set_source_files_properties("${source}" PROPERTIES UNITY_GROUP "${folder}_${number}")
    endforeach()
  endforeach()
endfunction()

set(include_dir "${PROJECT_SOURCE_DIR}/include")
file(GLOB_RECURSE headers CONFIGURE_DEPENDS "${include_dir}/*.hpp" "${include_dir}/*.ipp")

# `model` and `experiment` are compiled and may touch a tokenizer, so they belong to kvtransfer::model.
set(model_headers ${headers})
list(FILTER model_headers INCLUDE REGEX "/kvtransfer/(model|experiment)(/|\\.hpp$)")
list(REMOVE_ITEM headers ${model_headers})

# fmt is linked rather than compiled into every file that formats an error: a third of what such a file costs to compile.
set(fmt_library fmt::fmt)
if(KVTRANSFER_FMT_OF_TORCH)
  set(fmt_library kvtransfer_fmt)
  add_library(kvtransfer_fmt STATIC "${PROJECT_SOURCE_DIR}/src/fmt.cpp")
  target_compile_features(kvtransfer_fmt PRIVATE cxx_std_20)
  target_include_directories(kvtransfer_fmt SYSTEM PRIVATE "${KVTRANSFER_TORCH_DIR}/include")
  set_target_properties(kvtransfer_fmt PROPERTIES EXPORT_NAME fmt POSITION_INDEPENDENT_CODE ON CXX_VISIBILITY_PRESET hidden)
endif()

add_library(kvtransfer INTERFACE)
add_library(kvtransfer::kvtransfer ALIAS kvtransfer)
target_compile_features(kvtransfer INTERFACE cxx_std_20)
target_link_libraries(kvtransfer INTERFACE kvtransfer::torch ${fmt_library} nlohmann_json::nlohmann_json ZLIB::ZLIB ${CMAKE_DL_LIBS})
target_sources(kvtransfer INTERFACE FILE_SET HEADERS BASE_DIRS "${include_dir}" FILES ${headers})

# What the headers define in `detail/*.ipp`, compiled once: whoever links it reads declarations alone.
set(definitions ${headers})
list(FILTER definitions INCLUDE REGEX "\\.ipp$")
set(compiled_folders)
foreach(definition IN LISTS definitions)
  cmake_path(RELATIVE_PATH definition BASE_DIRECTORY "${include_dir}" OUTPUT_VARIABLE included)
  string(REGEX REPLACE "^kvtransfer/([a-z]+)/.*" "\\1" folder "${included}")
  list(APPEND compiled_folders ${folder})
  string(APPEND definitions_of_${folder} "#include \"${included}\"\n")
endforeach()
list(REMOVE_DUPLICATES compiled_folders)
set(compiled_sources)
foreach(folder IN LISTS compiled_folders)
  set(source "${PROJECT_BINARY_DIR}/compiled/${folder}.cpp")
  file(CONFIGURE OUTPUT "${source}" CONTENT "${definitions_of_${folder}}")
  list(APPEND compiled_sources "${source}")
endforeach()
add_library(kvtransfer_compiled STATIC ${compiled_sources})
add_library(kvtransfer::compiled ALIAS kvtransfer_compiled)
target_link_libraries(kvtransfer_compiled PUBLIC kvtransfer)
target_compile_definitions(kvtransfer_compiled PUBLIC KVTRANSFER_COMPILED)
set_target_properties(kvtransfer_compiled PROPERTIES EXPORT_NAME compiled POSITION_INDEPENDENT_CODE ON)
kvtransfer_precompile(kvtransfer_compiled)

if(KVTRANSFER_HAS_MODEL)
  file(GLOB_RECURSE model_sources CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/src/model/*.cpp" "${PROJECT_SOURCE_DIR}/src/experiment/*.cpp")
  add_library(kvtransfer_model STATIC ${model_sources})
  add_library(kvtransfer::model ALIAS kvtransfer_model)
  # Libraries that no public header names. Each has to be found in cmake/kvtransferConfig.cmake.in too: programs link them.
  # In front of torch: SentencePiece and c10 both export a FLAGS_minloglevel, of which the first that is loaded counts. c10's has
  # room for a number only; SentencePiece's object in its place would lie over the flag by which c10 aborts instead of throwing.
  target_link_libraries(kvtransfer_model PRIVATE SentencePiece::sentencepiece PCRE2::8BIT utf8proc::utf8proc
                                                "$<BUILD_INTERFACE:xxHash::xxHash>" "$<BUILD_INTERFACE:Boost::headers>")
  target_link_libraries(kvtransfer_model PUBLIC kvtransfer_compiled)
  target_include_directories(kvtransfer_model PRIVATE "${PROJECT_SOURCE_DIR}/src")
  target_sources(kvtransfer_model PUBLIC FILE_SET HEADERS BASE_DIRS "${include_dir}" FILES ${model_headers})
  kvtransfer_compile_together(kvtransfer_model ${model_sources})
  # Which commit it is built from: asked anew at every build.
  set(commit_source "${PROJECT_BINARY_DIR}/library_commit.cpp")
  add_custom_target(kvtransfer_commit BYPRODUCTS "${commit_source}"
                    COMMAND "${CMAKE_COMMAND}" -D "SOURCE_DIR=${PROJECT_SOURCE_DIR}" -D "OUTPUT=${commit_source}"
                            -P "${PROJECT_SOURCE_DIR}/cmake/write_commit.cmake")
  target_sources(kvtransfer_model PRIVATE "${commit_source}")
  set_source_files_properties("${commit_source}" PROPERTIES GENERATED ON)
  add_dependencies(kvtransfer_model kvtransfer_commit)
  # A product rounded before it is added, as the reference does: fused, the last bit would differ.
  set_source_files_properties("${PROJECT_SOURCE_DIR}/src/model/weights/gguf_dequantize.cpp"
                              PROPERTIES COMPILE_OPTIONS -ffp-contract=off SKIP_UNITY_BUILD_INCLUSION ON)
  # Position independent: it may end up in somebody's shared library.
  set_target_properties(kvtransfer_model PROPERTIES EXPORT_NAME model POSITION_INDEPENDENT_CODE ON)
  kvtransfer_precompile(kvtransfer_model)
endif()

include(kvtransferKernels)
