# The CUDA emulator for a directory's targets. Include it at file scope (it enables C++), then
#   ech_emulate(NAME a.cu b.cu ...)
# makes a shared object of .cu sources that the host compiler builds and the emulator runs; its device memory,
# runtime and cuBLASLt are its own. Where the CUDA headers are missing ECH_EMULATOR_MISSING says why, and
# ech_emulate may not be called.
set(ECH_CUDA_INCLUDE "" CACHE PATH "folder of cuda_runtime.h, where no CUDA toolkit is installed")
set(ECH_EMULATOR ${CMAKE_CURRENT_LIST_DIR})
set(ECH_EMULATOR_MISSING "")

find_path(ECH_CUDA_HEADERS cuda_runtime.h
  HINTS ${ECH_CUDA_INCLUDE} ENV ECH_CUDA_INCLUDE ENV CUDA_HOME ENV CUDA_PATH
  PATHS /usr/local/cuda ${CMAKE_SOURCE_DIR}/build-cuda-headers PATH_SUFFIXES include) # the last: ci/cuda-headers
if(NOT ECH_CUDA_HEADERS OR NOT EXISTS ${ECH_CUDA_HEADERS}/crt/host_defines.h OR NOT EXISTS ${ECH_CUDA_HEADERS}/nv/target)
  set(ECH_EMULATOR_MISSING "no CUDA headers: ci/cuda-headers fetches them")
endif()
set(ECH_EMULATOR_HEADERS ${ECH_CUDA_HEADERS})
if(NOT EXISTS ${ECH_CUDA_HEADERS}/cublasLt.h)
  list(APPEND ECH_EMULATOR_HEADERS ${ECH_EMULATOR}/include) # the subset that is used
endif()
include(CheckLanguage)
check_language(CXX)
if(CMAKE_CXX_COMPILER)
  enable_language(CXX)
  if(NOT CMAKE_CXX_COMPILER_ID STREQUAL GNU)
    set(ECH_EMULATOR_MISSING "the emulator needs g++")
  endif()
else()
  set(ECH_EMULATOR_MISSING "no C++ compiler")
endif()

# Ours alone: warnings and sanitizers of the directory are for other code, and the access callbacks are not
# the sanitizers' own.
set(ECH_EMULATOR_OPTIONS -std=c++17 -O2 -gdwarf-4 -fPIC -fvisibility=hidden -ffp-contract=off -fno-math-errno
  -Wall -Wextra -Wshadow -Wpointer-arith)
if(ECH_WERROR)
  list(APPEND ECH_EMULATOR_OPTIONS -Werror)
endif()
# Every load and store calls back (what the linker would add for -fsanitize is not linked); aggregates are
# copied whole, so that vectors keep their width; memcpy and its kin are calls, which emulator.h redirects.
# No tail calls: a report names the line by the return address. (dwarf-4: Debian's addr2line misreads files
# of dwarf-5.)
set(ECH_EMULATED_OPTIONS -fsanitize=thread --param tsan-instrument-func-entry-exit=0
  -fsanitize=alignment,bounds -fsanitize-recover=all -fno-tree-sra -fno-ipa-sra -fno-ipa-icf
  -fno-optimize-sibling-calls
  -fno-builtin-memcpy -fno-builtin-memmove -fno-builtin-memset)

function(ech_emulate name)
  file(GLOB runtime CONFIGURE_DEPENDS ${ECH_EMULATOR}/*.cpp)
  if(NOT TARGET ech_cuda_emulator)
    add_library(ech_cuda_emulator OBJECT ${runtime})
    set_property(TARGET ech_cuda_emulator PROPERTY COMPILE_OPTIONS ${ECH_EMULATOR_OPTIONS} -Wconversion)
    target_include_directories(ech_cuda_emulator PRIVATE ${ECH_EMULATOR})
    target_include_directories(ech_cuda_emulator SYSTEM PRIVATE ${ECH_EMULATOR_HEADERS})
  endif()
  set(wrapped)
  foreach(source ${ARGN})
    get_filename_component(path ${source} ABSOLUTE)
    get_filename_component(stem ${source} NAME)
    set(wrapper ${CMAKE_CURRENT_BINARY_DIR}/${name}/${stem}.cpp)
    file(CONFIGURE OUTPUT ${wrapper} CONTENT "#include \"${path}\"\n")
    set_property(SOURCE ${wrapper} APPEND PROPERTY OBJECT_DEPENDS ${path})
    list(APPEND wrapped ${wrapper})
  endforeach()
  add_library(${name} SHARED ${wrapped} $<TARGET_OBJECTS:ech_cuda_emulator>)
  set_property(TARGET ${name} PROPERTY COMPILE_OPTIONS ${ECH_EMULATOR_OPTIONS} ${ECH_EMULATED_OPTIONS})
  target_compile_definitions(${name} PRIVATE ECH_CUDA_EMULATED)
  target_include_directories(${name} PRIVATE ${ECH_EMULATOR} ${CMAKE_SOURCE_DIR})
  target_include_directories(${name} SYSTEM PRIVATE ${ECH_EMULATOR_HEADERS})
  target_link_options(${name} PRIVATE -Wl,-Bsymbolic)
  target_link_libraries(${name} PRIVATE m ${CMAKE_DL_LIBS})
endfunction()
