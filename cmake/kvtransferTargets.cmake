# kvtransfer::kvtransfer (headers), kvtransfer::model (headers that need a tokenizer library), kvtransfer::kernels (compiled).

set(include_dir "${PROJECT_SOURCE_DIR}/include")
file(GLOB_RECURSE headers CONFIGURE_DEPENDS "${include_dir}/*.hpp")

# Everything from `model` upwards may touch a tokenizer, so it belongs to kvtransfer::model.
set(model_headers ${headers})
list(FILTER model_headers INCLUDE REGEX "/kvtransfer/(model|project|experiment)/")
list(REMOVE_ITEM headers ${model_headers})

add_library(kvtransfer INTERFACE)
add_library(kvtransfer::kvtransfer ALIAS kvtransfer)
target_compile_features(kvtransfer INTERFACE cxx_std_20)
target_link_libraries(kvtransfer INTERFACE kvtransfer::torch fmt::fmt-header-only nlohmann_json::nlohmann_json ZLIB::ZLIB)
target_sources(kvtransfer INTERFACE FILE_SET HEADERS BASE_DIRS "${include_dir}" FILES ${headers})
set_target_properties(kvtransfer PROPERTIES VERIFY_INTERFACE_HEADER_SETS ON)

if(SentencePiece_FOUND)
  add_library(kvtransfer_model INTERFACE)
  add_library(kvtransfer::model ALIAS kvtransfer_model)
  target_link_libraries(kvtransfer_model INTERFACE kvtransfer SentencePiece::sentencepiece)
  target_sources(kvtransfer_model INTERFACE FILE_SET HEADERS BASE_DIRS "${include_dir}" FILES ${model_headers})
  set_target_properties(kvtransfer_model PROPERTIES EXPORT_NAME model VERIFY_INTERFACE_HEADER_SETS ON)
endif()

include(kvtransferKernels)
