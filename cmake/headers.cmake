# Headers of others that most sources include, parsed once for the libraries and once for the tests: a quarter of
# a build's time. Each file still includes what it uses. The other presets and clang have nothing of this, and
# show it when one does not. GCC 12 inlines in another order then, and finds in three sources that moving a string
# reads beyond it: these take no part (SKIP_PRECOMPILE_HEADERS), which is better than to lose the warning.
set(EE_HEADERS
  <algorithm> <array> <atomic> <charconv> <chrono> <condition_variable> <cstdint> <cstring> <deque> <filesystem>
  <functional> <iostream> <limits> <map> <memory> <mutex> <optional> <span> <sstream> <string> <string_view> <thread>
  <unordered_map> <utility> <variant> <vector>
  <fmt/format.h> <tl/expected.hpp>)
set(EE_HAS_HEADERS FALSE)
if(CMAKE_BUILD_TYPE STREQUAL "Release" AND CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  set(EE_HAS_HEADERS TRUE)
  add_compile_options(-fpch-preprocess)  # ccache asks for it.
endif()

# ee_headers(name OPTIONS ... HEADERS ... DEPENDS ...): parsed with these options, for targets that have the same.
function(ee_headers name)
  cmake_parse_arguments(ARG "" "" "OPTIONS;HEADERS;DEPENDS" ${ARGN})
  if(EE_HAS_HEADERS)
    file(CONFIGURE OUTPUT ${CMAKE_BINARY_DIR}/${name}.cpp CONTENT "// The headers are all of it.\n")
    add_library(${name} OBJECT ${CMAKE_BINARY_DIR}/${name}.cpp)
    target_compile_options(${name} PRIVATE ${ARG_OPTIONS})
    target_link_libraries(${name} PRIVATE fmt::fmt ${ARG_DEPENDS})
    target_precompile_headers(${name} PRIVATE ${EE_HEADERS} ${ARG_HEADERS})
  endif()
endfunction()

function(ee_use_headers target name)
  if(EE_HAS_HEADERS)
    target_precompile_headers(${target} REUSE_FROM ${name})
  endif()
endfunction()
