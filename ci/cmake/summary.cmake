message(STATUS "echelon ${PROJECT_VERSION}: ${CMAKE_C_COMPILER_ID} ${CMAKE_C_COMPILER_VERSION}, ${CMAKE_BUILD_TYPE}")
foreach(feature ECH_RUNTIME ECH_WERROR ECH_SANITIZE ECH_FUZZ ECH_HAVE_OPENBLAS)
  message(STATUS "  ${feature}: ${${feature}}")
endforeach()
