# Found by find_package(easyenclave): the target easyenclave::attestation.
include(CMakeFindDependencyMacro)
find_dependency(OpenSSL 3.0)
find_dependency(fmt)
find_dependency(simdjson)
include(${CMAKE_CURRENT_LIST_DIR}/easyenclaveTargets.cmake)
