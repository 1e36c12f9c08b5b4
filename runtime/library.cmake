# echelon.h: the public C library. `libechelon` is its target in this tree; installed are the headers it needs
# (include/echelon), the archives and echelon.pc.
if(NOT TARGET ech_model OR NOT TARGET ech_data)
  return()
endif()
add_library(libechelon INTERFACE)
file(MAKE_DIRECTORY ${CMAKE_BINARY_DIR}/include/echelon)
file(CREATE_LINK ${CMAKE_CURRENT_SOURCE_DIR}/echelon.h ${CMAKE_BINARY_DIR}/include/echelon/echelon.h SYMBOLIC)
target_include_directories(libechelon INTERFACE ${CMAKE_BINARY_DIR}/include/echelon)
target_link_libraries(libechelon INTERFACE ech_model ech_data)

include(GNUInstallDirs)
set(ECH_PC_REQUIRES "jansson libxxhash libutf8proc libpcre2-8 yaml-0.1 hdf5-openmpi ompi-c zlib libzstd")
if(ECH_HAVE_OPENBLAS)
  string(APPEND ECH_PC_REQUIRES " openblas")
endif()
set(ECH_PC_LIBS "-ldl")
if(ECH_HAVE_OPENMP)
  string(APPEND ECH_PC_LIBS " ${ECH_OPENMP_FLAGS}")
endif()
configure_file(${CMAKE_CURRENT_SOURCE_DIR}/echelon.pc.in ${CMAKE_BINARY_DIR}/echelon.pc @ONLY)
foreach(header base/err.h base/mem.h base/hash.h data/dataset.h data/column.h model/engine.h)
  get_filename_component(folder ${header} DIRECTORY)
  install(FILES ${CMAKE_CURRENT_SOURCE_DIR}/${header}
          DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/echelon/${folder} COMPONENT library)
endforeach()
install(FILES ${CMAKE_CURRENT_SOURCE_DIR}/echelon.h DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/echelon
        COMPONENT library)
install(TARGETS ech_model ech_text ech_data ech_comm ech_kernels ech_base
        ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT library)
install(FILES ${CMAKE_BINARY_DIR}/echelon.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig COMPONENT library)
