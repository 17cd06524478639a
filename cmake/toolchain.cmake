# Warnings, sanitizers, ccache and mold. Nothing here changes what the program does.
find_program(EE_CCACHE ccache)
if(EE_CCACHE)
  # The manual's settings for headers that are parsed once (see headers.cmake).
  set(CMAKE_CXX_COMPILER_LAUNCHER ${CMAKE_COMMAND} -E env CCACHE_SLOPPINESS=pch_defines,time_macros ${EE_CCACHE})
endif()
find_program(EE_MOLD mold)
if(EE_MOLD AND EXISTS /usr/libexec/mold)
  # GCC 12 finds mold as "ld" in the folder named by -B; clang knows it by name.
  if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    add_link_options(-fuse-ld=mold)
  else()
    add_link_options(--ld-path=${EE_MOLD})
  endif()
endif()

add_compile_options(
  -Wall -Wextra -Wpedantic -Wshadow -Wnon-virtual-dtor -Wold-style-cast -Woverloaded-virtual
  -Wcast-qual -Wimplicit-fallthrough -fno-strict-aliasing)
# GCC 12 reports the storage of a tl::expected that was checked as maybe uninitialised.
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  add_compile_options(-Wno-maybe-uninitialized)
endif()
if(EE_WERROR)
  add_compile_options(-Werror)
endif()
if(CMAKE_BUILD_TYPE STREQUAL "Release")
  add_compile_options(-O2 -g1 -fstack-protector-strong)
  add_compile_definitions(_FORTIFY_SOURCE=2)
endif()
if(EE_SANITIZE)
  add_compile_options(-fsanitize=${EE_SANITIZE} -fno-omit-frame-pointer -fno-sanitize-recover=all -O1 -g1)
  add_link_options(-fsanitize=${EE_SANITIZE})
endif()
if(EE_FUZZ)
  add_compile_options(-fsanitize=fuzzer-no-link)  # Libraries report the branches they take to the fuzzer.
endif()
