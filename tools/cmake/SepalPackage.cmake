# What is installed: the runtime libraries sepal (shared) and sepal_static with any-shape kernels for f32 on CPUs, headers, the CMake package,
# sepal.pc, licences; and, as component `codegen`, what generates kernels: the `sepal` command with Halide.
#
# Every name that Halide's runtime defines gets the prefix sepal_rt_ in these libraries and in the kernels that use them, so that an application
# may contain other code that Halide compiled, with another version of that runtime, whose global state is not to be shared.
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)
if(SEPAL_HOST_BUILD)
    set(SEPAL_NM ${CMAKE_NM})
    set(SEPAL_OBJCOPY ${CMAKE_OBJCOPY})
endif()
# What LLVM calls the function that touches a large stack has another name in MinGW-w64.
set(package_renames $<$<BOOL:${WIN32}>:--redefine-sym=__chkstk=___chkstk_ms>)
find_program(SEPAL_NM nm REQUIRED)
find_program(SEPAL_OBJCOPY objcopy REQUIRED)

set(package_dir ${CMAKE_BINARY_DIR}/package)
set(package_kernels ${kernel_names})
list(FILTER package_kernels INCLUDE REGEX "^[a-z0-9]+_f32_(nhwc|nchw)_(x64|avx2|avx512|neon)_(hand|reference)")
# One specialised to a suite's problem fixes its channels (_c128) or, of f16 and GPUs, is for others.
list(FILTER package_kernels EXCLUDE REGEX "_c[0-9]+(_|$)")
set(package_packers ${packer_names})
list(FILTER package_packers INCLUDE REGEX "^pack_f32_(x64|avx2|avx512|neon)_")
list(LENGTH package_kernels package_kernel_count)
message(STATUS "${package_kernel_count} of them in the installed library")

# Halide's runtime, its names, and the names that they get.
set(package_symbols ${package_dir}/halide_symbols.txt)
set(package_names_header ${package_dir}/halide_names.h)
add_custom_command(OUTPUT ${package_dir}/halide_runtime.o ${package_symbols} ${package_names_header}
    COMMAND ${CMAKE_COMMAND} -DNM=${SEPAL_NM} -DOBJECT=${kernel_dir}/halide_runtime.o -DSYMBOLS=${package_symbols} -DHEADER=${package_names_header}
        -P ${CMAKE_SOURCE_DIR}/tools/cmake/RuntimeSymbols.cmake
    COMMAND ${SEPAL_OBJCOPY} --redefine-syms=${package_symbols} ${package_renames} ${kernel_dir}/halide_runtime.o ${package_dir}/halide_runtime.o
    DEPENDS ${kernel_dir}/halide_runtime.o ${CMAKE_SOURCE_DIR}/tools/cmake/RuntimeSymbols.cmake COMMENT "Halide's runtime under names of its own" COMMAND_EXPAND_LISTS VERBATIM)

set(package_objects ${package_dir}/halide_runtime.o)
set(package_specs "")
foreach(kernel IN LISTS package_kernels package_packers)
    add_custom_command(OUTPUT ${package_dir}/${kernel}.o
        COMMAND ${SEPAL_OBJCOPY} --redefine-syms=${package_symbols} ${package_renames} ${kernel_dir}/${kernel}.o ${package_dir}/${kernel}.o
        DEPENDS ${kernel_dir}/${kernel}.o ${package_symbols} COMMENT "" COMMAND_EXPAND_LISTS VERBATIM)
    list(APPEND package_objects ${package_dir}/${kernel}.o)
endforeach()
list(TRANSFORM package_kernels PREPEND ${kernel_dir}/ OUTPUT_VARIABLE package_specs)
list(TRANSFORM package_specs APPEND .spec.json)
list(TRANSFORM package_kernels PREPEND ${kernel_dir}/ OUTPUT_VARIABLE package_built)
list(TRANSFORM package_built APPEND .built.json)
add_custom_command(OUTPUT ${package_dir}/kernels.c
    COMMAND sepal-table ${package_dir}/kernels.c sepal_builtin_kernels ${package_specs}
    DEPENDS sepal-table ${package_built} ${package_specs} COMMENT "Table of the installed library" VERBATIM)

# The runtime's own code. As one object, in which the names of Halide's runtime are replaced.
list(TRANSFORM sepal_library_sources PREPEND ${CMAKE_SOURCE_DIR}/runtime/ OUTPUT_VARIABLE package_sources)
add_library(sepal_package_objects OBJECT ${package_sources} ${sanitizer_sources} ${package_dir}/kernels.c)
target_include_directories(sepal_package_objects PRIVATE ${CMAKE_SOURCE_DIR} ${CMAKE_SOURCE_DIR}/runtime/include)
target_link_libraries(sepal_package_objects PRIVATE fmt::fmt-header-only Halide::Runtime)
target_compile_definitions(sepal_package_objects PRIVATE SEPAL_VERSION="${PROJECT_VERSION}")
target_compile_options(sepal_package_objects PRIVATE -fvisibility=hidden $<$<COMPILE_LANGUAGE:CXX>:-fvisibility-inlines-hidden> $<$<CONFIG:Release>:-O2>)
if(WIN32)  # objects of COFF cannot be made one, so that their names are other ones from the beginning
    target_compile_options(sepal_package_objects PRIVATE $<$<COMPILE_LANGUAGE:CXX>:-include${package_names_header}>)
    set_source_files_properties(${package_sources} PROPERTIES OBJECT_DEPENDS ${package_names_header})
    set(package_runtime_objects $<TARGET_OBJECTS:sepal_package_objects>)
else()
    set(package_runtime_objects ${package_dir}/runtime.o)
endif()
add_custom_command(OUTPUT ${package_dir}/runtime.o
    COMMAND ${CMAKE_LINKER} -r -o ${package_dir}/runtime.plain.o $<TARGET_OBJECTS:sepal_package_objects>
    COMMAND ${SEPAL_OBJCOPY} --redefine-syms=${package_symbols} ${package_dir}/runtime.plain.o ${package_dir}/runtime.o
    DEPENDS sepal_package_objects $<TARGET_OBJECTS:sepal_package_objects> ${package_symbols} COMMAND_EXPAND_LISTS VERBATIM)
set_source_files_properties(${package_objects} ${package_dir}/runtime.o PROPERTIES EXTERNAL_OBJECT TRUE GENERATED TRUE)

add_library(sepal_static STATIC ${package_objects} ${package_runtime_objects})
add_library(sepal_shared SHARED ${package_objects} ${package_runtime_objects})
set(package_exports ${CMAKE_SOURCE_DIR}/tools/cmake/exports.map)
target_link_options(sepal_shared PRIVATE -Wl,--version-script=${package_exports} $<$<BOOL:${WIN32}>:-static>)  # of Windows: with the compiler's libraries in it
if(NOT SEPAL_SANITIZE)  # the sanitizers' functions are the program's
    target_link_options(sepal_shared PRIVATE -Wl,--no-undefined)
endif()
set_target_properties(sepal_shared PROPERTIES LINK_DEPENDS ${package_exports} VERSION ${PROJECT_VERSION} SOVERSION ${PROJECT_VERSION_MAJOR}.${PROJECT_VERSION_MINOR})
foreach(library sepal_static sepal_shared)
    set_target_properties(${library} PROPERTIES OUTPUT_NAME sepal LINKER_LANGUAGE CXX ARCHIVE_OUTPUT_DIRECTORY ${package_dir} LIBRARY_OUTPUT_DIRECTORY ${package_dir})
    target_link_libraries(${library} PUBLIC Threads::Threads ${CMAKE_DL_LIBS})
    target_include_directories(${library} INTERFACE $<BUILD_INTERFACE:${CMAKE_SOURCE_DIR}/runtime/include> $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
endforeach()
set_target_properties(sepal_static PROPERTIES EXPORT_NAME static)
set_target_properties(sepal_shared PROPERTIES EXPORT_NAME sepal)
add_library(Sepal::sepal ALIAS sepal_shared)
add_library(Sepal::static ALIAS sepal_static)

install(TARGETS sepal_static sepal_shared EXPORT SepalTargets COMPONENT runtime)
install(DIRECTORY ${CMAKE_SOURCE_DIR}/runtime/include/sepal DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} COMPONENT runtime)
set(package_cmake ${CMAKE_INSTALL_LIBDIR}/cmake/Sepal)
install(EXPORT SepalTargets NAMESPACE Sepal:: DESTINATION ${package_cmake} COMPONENT runtime)
configure_package_config_file(${CMAKE_SOURCE_DIR}/tools/cmake/SepalConfig.cmake.in ${package_dir}/SepalConfig.cmake INSTALL_DESTINATION ${package_cmake}
    PATH_VARS CMAKE_INSTALL_BINDIR)
write_basic_package_version_file(${package_dir}/SepalConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${package_dir}/SepalConfig.cmake ${package_dir}/SepalConfigVersion.cmake DESTINATION ${package_cmake} COMPONENT runtime)
file(RELATIVE_PATH package_prefix_from_pc /${CMAKE_INSTALL_LIBDIR}/pkgconfig /)
set(package_dl "-ldl ")
if(WIN32)
    set(package_dl "")
endif()
configure_file(${CMAKE_SOURCE_DIR}/tools/cmake/sepal.pc.in ${package_dir}/sepal.pc @ONLY)
install(FILES ${package_dir}/sepal.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig COMPONENT runtime)
# Sepal's own, and that of Halide, whose runtime is in the libraries.
install(FILES ${CMAKE_SOURCE_DIR}/LICENSE DESTINATION ${CMAKE_INSTALL_DOCDIR} COMPONENT runtime)
install(FILES ${SEPAL_HALIDE_LICENSE} DESTINATION ${CMAKE_INSTALL_DOCDIR} RENAME LICENSE.Halide COMPONENT runtime)
# The same package in the build folder, for projects that are built beside.
export(EXPORT SepalTargets NAMESPACE Sepal:: FILE ${package_dir}/SepalTargets.cmake)

if(SEPAL_HOST_BUILD)
    install(FILES ${CMAKE_SOURCE_DIR}/tools/cmake/SepalAddKernels.cmake DESTINATION ${package_cmake} COMPONENT codegen)
    return()
endif()

# For programs of the build, as the installed ones have them (tools/installed.h).
file(MAKE_DIRECTORY ${package_dir})
file(CREATE_LINK ${CMAKE_SOURCE_DIR}/runtime/include ${package_dir}/include SYMBOLIC)
file(CONFIGURE OUTPUT ${package_dir}/settings.txt CONTENT "scripts=${CMAKE_SOURCE_DIR}/tools
python=${SEPAL_PYTHON}
peers_python=${CMAKE_SOURCE_DIR}/build/peers/bin/python3
peers_script=${CMAKE_SOURCE_DIR}/bench/peers/serve.py
llc=${SEPAL_LLC_DEFAULT}
cuda_bin=${SEPAL_CUDA_BIN_DEFAULT}
nvdisasm=${SEPAL_NVDISASM_DEFAULT}
")
configure_file(${CMAKE_SOURCE_DIR}/tools/cmake/SepalAddKernels.cmake ${package_dir}/SepalAddKernels.cmake COPYONLY)

# What generates kernels: the command, with the libHalide and the autoschedulers that it was made for.
set_target_properties(sepal PROPERTIES INSTALL_RPATH "$ORIGIN/../${CMAKE_INSTALL_LIBDIR}/sepal")
install(TARGETS sepal DESTINATION ${CMAKE_INSTALL_BINDIR} COMPONENT codegen)
file(GLOB package_halide ${SEPAL_HALIDE_FOLDER}/libHalide.so* ${SEPAL_HALIDE_FOLDER}/libautoschedule_*.so)
install(FILES ${package_halide} DESTINATION ${CMAKE_INSTALL_LIBDIR}/sepal COMPONENT codegen)
install(FILES ${CMAKE_SOURCE_DIR}/tools/cmake/SepalAddKernels.cmake DESTINATION ${package_cmake} COMPONENT codegen)
install(FILES ${package_symbols} DESTINATION ${CMAKE_INSTALL_DATADIR}/sepal COMPONENT codegen)
file(GLOB package_scripts ${CMAKE_SOURCE_DIR}/tools/*.py)
list(FILTER package_scripts EXCLUDE REGEX gpu_session)
# Debian's copyright files of what else the command is made of.
file(GLOB package_copyrights /usr/share/doc/libcli11-dev/copyright /usr/share/doc/nlohmann-json3-dev/copyright /usr/share/doc/libfmt-dev/copyright)
foreach(copyright IN LISTS package_copyrights)
    get_filename_component(package ${copyright} DIRECTORY)
    get_filename_component(package ${package} NAME)
    install(FILES ${copyright} DESTINATION ${CMAKE_INSTALL_DOCDIR} RENAME LICENSE.${package} COMPONENT codegen)
endforeach()
install(FILES ${package_scripts} DESTINATION ${CMAKE_INSTALL_DATADIR}/sepal COMPONENT codegen)
