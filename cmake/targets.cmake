# One static library and one test binary a folder.
#
#   ee_library(base SOURCES hex.cpp ... DEPENDS fmt::fmt TESTS hex_test.cpp ...)
#
# makes the library ee_base (alias easyenclave::base) and the test binary ee_base_test whose cases carry
# the ctest label "base". A folder within a folder is written with an underscore: attestation_provider.
include(GoogleTest)
ee_headers(ee_source_headers)
# What is tested is optimised; the tests themselves need not be, which halves their build.
set(EE_TEST_OPTIONS -O0 -U_FORTIFY_SOURCE)
if(EE_TESTS)
  find_package(GTest REQUIRED)
  ee_headers(ee_test_headers OPTIONS ${EE_TEST_OPTIONS} HEADERS <gtest/gtest.h> DEPENDS GTest::gtest)
endif()

function(ee_library name)
  cmake_parse_arguments(ARG "" "" "SOURCES;DEPENDS;TESTS;TEST_DEPENDS" ${ARGN})
  if(ARG_SOURCES)
    add_library(ee_${name} STATIC ${ARG_SOURCES})
    target_include_directories(ee_${name} PUBLIC $<BUILD_INTERFACE:${CMAKE_SOURCE_DIR}/src>)
    target_link_libraries(ee_${name} PUBLIC ${ARG_DEPENDS})
    ee_use_headers(ee_${name} ee_source_headers)
  else()
    add_library(ee_${name} INTERFACE)
    target_include_directories(ee_${name} INTERFACE ${CMAKE_SOURCE_DIR}/src)
    target_link_libraries(ee_${name} INTERFACE ${ARG_DEPENDS})
  endif()
  add_library(easyenclave::${name} ALIAS ee_${name})
  if(EE_TESTS AND ARG_TESTS)
    ee_test(${name} SOURCES ${ARG_TESTS} DEPENDS ee_${name} ${ARG_TEST_DEPENDS})
  endif()
endfunction()

function(ee_test name)
  cmake_parse_arguments(ARG "" "" "SOURCES;DEPENDS" ${ARGN})
  add_executable(ee_${name}_test ${ARG_SOURCES})
  target_link_libraries(ee_${name}_test PRIVATE ${ARG_DEPENDS} GTest::gtest GTest::gtest_main Threads::Threads)
  target_compile_options(ee_${name}_test PRIVATE ${EE_TEST_OPTIONS})
  ee_use_headers(ee_${name}_test ee_test_headers)
  gtest_discover_tests(ee_${name}_test
    PROPERTIES LABELS ${name} PROCESSORS 3 TIMEOUT 120 SKIP_REGULAR_EXPRESSION "\\[  SKIPPED \\]"
    DISCOVERY_TIMEOUT 60)
endfunction()

# Tells these test sources where the tree is. Only those that read files of it: a path in a command line keeps
# ccache from using what another checkout has built.
function(ee_needs_source_dir)
  set_source_files_properties(${ARGN} PROPERTIES COMPILE_DEFINITIONS EE_SOURCE_DIR="${CMAKE_SOURCE_DIR}")
endfunction()

# In place of the C library's malloc: decision 14. Sanitizers have their own.
if(NOT EE_SANITIZE)
  find_package(mimalloc 2.0 REQUIRED)
endif()
function(ee_allocator target)
  if(NOT EE_SANITIZE)
    target_link_libraries(${target} PRIVATE mimalloc)
  endif()
endfunction()

# A libFuzzer target; without EE_FUZZ the same source becomes a test that replays its corpus.
function(ee_fuzz name)
  cmake_parse_arguments(ARG "" "CORPUS" "SOURCES;DEPENDS" ${ARGN})
  add_executable(fuzz_${name} ${ARG_SOURCES})
  target_link_libraries(fuzz_${name} PRIVATE ${ARG_DEPENDS})
  ee_use_headers(fuzz_${name} ee_source_headers)
  if(EE_FUZZ)
    target_compile_options(fuzz_${name} PRIVATE -fsanitize=fuzzer)
    target_link_options(fuzz_${name} PRIVATE -fsanitize=fuzzer)
  else()
    if(NOT TARGET ee_fuzz_replay)
      add_library(ee_fuzz_replay OBJECT ${CMAKE_SOURCE_DIR}/tests/fuzz/replay_main.cpp)
    endif()
    target_link_libraries(fuzz_${name} PRIVATE ee_fuzz_replay)
    add_test(NAME fuzz.${name} COMMAND fuzz_${name} ${ARG_CORPUS})
    set_tests_properties(fuzz.${name} PROPERTIES LABELS fuzz TIMEOUT 120)
  endif()
endfunction()
