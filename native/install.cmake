# What is installed: library, plug-ins, headers, CMake package, pkg-config file. All paths are relative: the prefix may be
# moved.
include(CMakePackageConfigHelpers)

set(ZOO_CMAKE_DIR "${CMAKE_INSTALL_LIBDIR}/cmake/zoo")
set(ZOO_NAMELINK "")
set(ZOO_PC_LIBS "-lzoo")
if(ZOO_WHEEL)
  # A wheel cannot hold symbolic links: it would contain three copies of the library instead.
  set(ZOO_NAMELINK NAMELINK_SKIP)
  set(ZOO_PC_LIBS "-l:libzoo.so.1")
endif()

install(TARGETS zoo EXPORT zooTargets LIBRARY DESTINATION "${CMAKE_INSTALL_LIBDIR}" ${ZOO_NAMELINK})
install(TARGETS ${ZOO_BACKENDS} zoo_ops LIBRARY DESTINATION "${CMAKE_INSTALL_LIBDIR}")
if(ZOO_BENCH)
  install(TARGETS zoo-native-bench RUNTIME DESTINATION "${CMAKE_INSTALL_BINDIR}")
endif()
install(DIRECTORY native/include/zoo DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}")
install(EXPORT zooTargets NAMESPACE zoo:: DESTINATION "${ZOO_CMAKE_DIR}")

configure_package_config_file(native/zooConfig.cmake.in "${CMAKE_BINARY_DIR}/zooConfig.cmake"
  INSTALL_DESTINATION "${ZOO_CMAKE_DIR}")
write_basic_package_version_file("${CMAKE_BINARY_DIR}/zooConfigVersion.cmake" COMPATIBILITY SameMajorVersion)
install(FILES "${CMAKE_BINARY_DIR}/zooConfig.cmake" "${CMAKE_BINARY_DIR}/zooConfigVersion.cmake"
  DESTINATION "${ZOO_CMAKE_DIR}")
configure_file(native/zoo.pc.in "${CMAKE_BINARY_DIR}/zoo.pc" @ONLY)
install(FILES "${CMAKE_BINARY_DIR}/zoo.pc" DESTINATION "${CMAKE_INSTALL_LIBDIR}/pkgconfig")
