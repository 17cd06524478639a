# What other projects may link: the attestation library, its one header and the archives beneath it.
#
#   cmake --install build/release --prefix PREFIX --component attestation
include(CMakePackageConfigHelpers)
include(GNUInstallDirs)
set(EE_PACKAGE_DIR ${CMAKE_INSTALL_LIBDIR}/cmake/easyenclave)
install(TARGETS ee_library ee_attestation ee_crypto ee_base EXPORT easyenclaveTargets
  ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT attestation)
install(EXPORT easyenclaveTargets NAMESPACE easyenclave:: DESTINATION ${EE_PACKAGE_DIR} COMPONENT attestation)
install(FILES ${CMAKE_SOURCE_DIR}/include/easyenclave/attestation.h
  DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/easyenclave COMPONENT attestation)
write_basic_package_version_file(${CMAKE_BINARY_DIR}/easyenclaveConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${CMAKE_SOURCE_DIR}/cmake/easyenclaveConfig.cmake ${CMAKE_BINARY_DIR}/easyenclaveConfigVersion.cmake
  DESTINATION ${EE_PACKAGE_DIR} COMPONENT attestation)
