# The tests of the CUDA backend: kernels.cuda.NAME. On the emulator wherever the CUDA headers are (a build
# without nvcc too); the same program runs on a device: build-kernels/bin/test_cuda.
add_executable(test_cuda test_cuda.c test_cuda_linear.c test_cuda_rows.c test_cuda_attention.c test_cuda_device.c
  cuda_support.c support.c)
target_link_libraries(test_cuda PRIVATE ech_kernels)

include(${CMAKE_CURRENT_LIST_DIR}/cuda_emulator/emulate.cmake)
if(NOT ECH_EMULATOR_MISSING)
  file(GLOB sources CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/kernels/cuda/*.cu)
  ech_emulate(ech-cuda-emulated ${sources})
endif()

set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS test_cuda.c)
file(STRINGS test_cuda.c lines REGEX "TEST\\([a-z_]+\\)")
set(found 0)
foreach(line ${lines})
  string(REGEX MATCHALL "TEST\\([a-z_]+\\)" calls "${line}")
  foreach(call ${calls})
    string(REGEX REPLACE "TEST\\((.*)\\)" "\\1" test ${call})
    if(test STREQUAL name)
      continue()
    endif()
    if(ECH_EMULATOR_MISSING)
      add_test(NAME kernels.cuda.${test}
        COMMAND sh -c "echo 'SKIP cuda: ${ECH_EMULATOR_MISSING}' >&2; exit 77")
    else()
      add_test(NAME kernels.cuda.${test} COMMAND test_cuda ${test})
      set_property(TEST kernels.cuda.${test} PROPERTY
        ENVIRONMENT "ECH_CUDA_LIBRARY=$<TARGET_FILE:ech-cuda-emulated>")
    endif()
    set_tests_properties(kernels.cuda.${test} PROPERTIES LABELS kernels TIMEOUT 120 SKIP_RETURN_CODE 77)
    math(EXPR found "${found} + 1")
  endforeach()
endforeach()
if(found EQUAL 0)
  message(FATAL_ERROR "tests/kernels: no TEST(...) found in test_cuda.c")
endif()
