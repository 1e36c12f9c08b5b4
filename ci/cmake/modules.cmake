# ech_module(NAME base SOURCES ... USES lower modules... LIBS imported targets...)
#
# One static library a folder. Its headers are reached as "NAME/x.h", and only by a target that links it:
# each module publishes an include directory of its own (a folder with one symbolic link). A module may use
# only modules that stand below it in ECH_LAYERS; anything else stops the configuration.
set(ECH_LAYERS kernels base config plan comm data text model job)

set(ECH_ALLOWED_config base)
set(ECH_ALLOWED_plan base)
set(ECH_ALLOWED_comm base)
set(ECH_ALLOWED_data base comm)
set(ECH_ALLOWED_text base)
set(ECH_ALLOWED_model base text kernels)
set(ECH_ALLOWED_job base config plan comm data text model kernels)

function(ech_publish name target)
  file(MAKE_DIRECTORY ${CMAKE_BINARY_DIR}/include/${name})
  file(CREATE_LINK ${CMAKE_CURRENT_SOURCE_DIR} ${CMAKE_BINARY_DIR}/include/${name}/${name} SYMBOLIC)
  target_include_directories(${target} PUBLIC ${CMAKE_BINARY_DIR}/include/${name})
endfunction()

function(ech_module)
  cmake_parse_arguments(M "" "NAME" "SOURCES;USES;LIBS" ${ARGN})
  foreach(use ${M_USES})
    if(NOT use IN_LIST ECH_ALLOWED_${M_NAME})
      message(FATAL_ERROR "layers: ${M_NAME} may not use ${use} (it may use: ${ECH_ALLOWED_${M_NAME}})")
    endif()
  endforeach()
  add_library(ech_${M_NAME} STATIC ${M_SOURCES})
  ech_publish(${M_NAME} ech_${M_NAME})
  list(TRANSFORM M_USES PREPEND ech_)
  target_link_libraries(ech_${M_NAME} PUBLIC ${M_USES} ${M_LIBS})
endfunction()

# ech_test(NAME suite-name SOURCES ... LIBS ... [LABELS ...] [TIMEOUT s]): a cmocka program.
# One process a test: the program is asked for its tests by name (tests/harness.h), CTest runs each alone.
