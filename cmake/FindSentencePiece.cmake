# SentencePiece ships no CMake package of its own. Defines SentencePiece::sentencepiece and, where its trainer is installed,
# SentencePiece::trainer.

find_path(SentencePiece_INCLUDE_DIR NAMES sentencepiece_processor.h)
find_library(SentencePiece_LIBRARY NAMES sentencepiece)
find_library(SentencePiece_TRAINER_LIBRARY NAMES sentencepiece_train)
mark_as_advanced(SentencePiece_INCLUDE_DIR SentencePiece_LIBRARY SentencePiece_TRAINER_LIBRARY)

include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(SentencePiece REQUIRED_VARS SentencePiece_LIBRARY SentencePiece_INCLUDE_DIR)

if(SentencePiece_FOUND AND NOT TARGET SentencePiece::sentencepiece)
  # GLOBAL: a project that adds kvtransfer as a subdirectory links kvtransfer::model from outside this directory.
  add_library(SentencePiece::sentencepiece UNKNOWN IMPORTED GLOBAL)
  set_target_properties(SentencePiece::sentencepiece PROPERTIES IMPORTED_LOCATION "${SentencePiece_LIBRARY}")
  target_include_directories(SentencePiece::sentencepiece INTERFACE "${SentencePiece_INCLUDE_DIR}")
  if(SentencePiece_TRAINER_LIBRARY)
    add_library(SentencePiece::trainer UNKNOWN IMPORTED GLOBAL)
    set_target_properties(SentencePiece::trainer PROPERTIES IMPORTED_LOCATION "${SentencePiece_TRAINER_LIBRARY}")
    target_link_libraries(SentencePiece::trainer INTERFACE SentencePiece::sentencepiece)
  endif()
endif()
