# Installs headers, kernels and a package for find_package(kvtransfer).

include(CMakePackageConfigHelpers)
include(GNUInstallDirs)

set(package_dir "${CMAKE_INSTALL_LIBDIR}/cmake/kvtransfer")

# One export set a target: a consumer without SentencePiece still gets the rest.
install(TARGETS kvtransfer kvtransfer_compiled EXPORT kvtransferTargets FILE_SET HEADERS)
if(TARGET kvtransfer_fmt)
  install(TARGETS kvtransfer_fmt EXPORT kvtransferTargets)
endif()
install(EXPORT kvtransferTargets NAMESPACE kvtransfer:: DESTINATION "${package_dir}")
if(TARGET kvtransfer_model)
  install(TARGETS kvtransfer_model EXPORT kvtransferModelTargets FILE_SET HEADERS)
  install(EXPORT kvtransferModelTargets NAMESPACE kvtransfer:: DESTINATION "${package_dir}")
endif()
install(TARGETS kvtransfer_kernels EXPORT kvtransferKernelsTargets)
install(EXPORT kvtransferKernelsTargets NAMESPACE kvtransfer:: DESTINATION "${package_dir}")

configure_package_config_file("${PROJECT_SOURCE_DIR}/cmake/kvtransferConfig.cmake.in"
                              "${PROJECT_BINARY_DIR}/kvtransferConfig.cmake" INSTALL_DESTINATION "${package_dir}")
write_basic_package_version_file("${PROJECT_BINARY_DIR}/kvtransferConfigVersion.cmake" COMPATIBILITY SameMinorVersion)
install(
  FILES "${PROJECT_BINARY_DIR}/kvtransferConfig.cmake" "${PROJECT_BINARY_DIR}/kvtransferConfigVersion.cmake"
        "${PROJECT_SOURCE_DIR}/cmake/kvtransferTorch.cmake" "${PROJECT_SOURCE_DIR}/cmake/FindSentencePiece.cmake"
        "${PROJECT_SOURCE_DIR}/cmake/FindPCRE2.cmake" "${PROJECT_SOURCE_DIR}/cmake/Findutf8proc.cmake"
  DESTINATION "${package_dir}")
