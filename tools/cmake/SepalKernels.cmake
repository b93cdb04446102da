# sepal_kernels: every kernel of schedules/variants.json and the functions that pack filters for them, one command for each, and the
# table of the kernels. Which there are is planned in C++ (tools/compile/plan_main.cpp) while CMake configures.
set(kernel_table ${CMAKE_SOURCE_DIR}/schedules/variants.json)
set(kernel_dir ${CMAKE_BINARY_DIR}/kernels)
set(plan_sources ${CMAKE_SOURCE_DIR}/tools/compile/plan_main.cpp ${CMAKE_SOURCE_DIR}/tools/compile/kernel_spec.cpp
    ${CMAKE_SOURCE_DIR}/tools/compile/plan_kernels.cpp
    ${problem_file_sources} ${tuning_record_sources}
    ${CMAKE_SOURCE_DIR}/runtime/filter_layout.cpp
    ${CMAKE_SOURCE_DIR}/runtime/isa.cpp ${CMAKE_SOURCE_DIR}/runtime/kernel_error.cpp ${CMAKE_SOURCE_DIR}/runtime/problem.cpp ${CMAKE_SOURCE_DIR}/runtime/registry.cpp ${CMAKE_SOURCE_DIR}/runtime/scratch.cpp
    ${CMAKE_SOURCE_DIR}/runtime/winograd.cpp)
set(plan_headers ${CMAKE_SOURCE_DIR}/schedules/nchw_schedule.h ${CMAKE_SOURCE_DIR}/schedules/schedule.h ${CMAKE_SOURCE_DIR}/schedules/schedule_check.h ${CMAKE_SOURCE_DIR}/schedules/gpu/gpu_schedule.h
    ${CMAKE_SOURCE_DIR}/schedules/gpu/occupancy.h ${CMAKE_SOURCE_DIR}/schedules/gpu/tensor_core_tile.h ${CMAKE_SOURCE_DIR}/tools/compile/kernel_spec.h ${CMAKE_SOURCE_DIR}/tools/compile/plan_kernels.h
    ${CMAKE_SOURCE_DIR}/tools/tuning/record.h ${CMAKE_SOURCE_DIR}/runtime/registry.h ${CMAKE_SOURCE_DIR}/runtime/problem.h
    ${CMAKE_SOURCE_DIR}/runtime/filter_layout.h ${CMAKE_SOURCE_DIR}/runtime/gpu/tensor_core_views.h)
set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${kernel_table} ${plan_sources} ${plan_headers})

if(SEPAL_HOST_BUILD)
    set(plan_tool ${SEPAL_HOST_BUILD}/sepal-plan)
    set(plan_isas ${sepal_target_isas} --os ${sepal_target_os})
else()
    # A change of a kernel's plan needs the planner anew; compiling it takes some seconds, so it is kept while its sources are.
    set(plan_tool ${CMAKE_BINARY_DIR}/sepal-plan)
    set(plan_inputs "${SEPAL_HALIDE_VERSION} ")
    foreach(source IN LISTS plan_sources plan_headers suite_files)
        file(SHA256 ${source} hash)
        string(APPEND plan_inputs ${hash})
    endforeach()
    if(NOT EXISTS ${plan_tool} OR NOT plan_inputs STREQUAL SEPAL_PLAN_INPUTS)
        message(STATUS "Compiling the kernel planner")
        try_compile(plan_compiled SOURCES ${plan_sources}
            CMAKE_FLAGS "-DINCLUDE_DIRECTORIES=${CMAKE_SOURCE_DIR};${CMAKE_CURRENT_BINARY_DIR}"
            COMPILE_DEFINITIONS -DSEPAL_HALIDE_VERSION=${SEPAL_HALIDE_VERSION}
            LINK_LIBRARIES fmt::fmt-header-only nlohmann_json::nlohmann_json
            CXX_STANDARD 17 COPY_FILE ${plan_tool} OUTPUT_VARIABLE plan_log NO_CACHE)
        if(NOT plan_compiled)
            message(FATAL_ERROR "The kernel planner did not compile:\n${plan_log}")
        endif()
        set(SEPAL_PLAN_INPUTS ${plan_inputs} CACHE INTERNAL "Hash of the sources that sepal-plan was compiled from")
    endif()
    set(plan_isas ${SEPAL_ISAS})
endif()
execute_process(COMMAND ${plan_tool} ${kernel_table} ${kernel_dir} ${plan_isas} --tuning ${tuning_files}
    OUTPUT_VARIABLE kernel_names ERROR_VARIABLE plan_error RESULT_VARIABLE plan_result OUTPUT_STRIP_TRAILING_WHITESPACE)
if(NOT plan_result EQUAL 0)
    message(FATAL_ERROR "${plan_error}")
elseif(plan_error)
    message(WARNING "${plan_error}")  # records that are skipped
endif()
string(REPLACE "\n" ";" kernel_names "${kernel_names}")
set(packer_names ${kernel_names})
list(FILTER packer_names INCLUDE REGEX "^pack_")
list(FILTER kernel_names EXCLUDE REGEX "^pack_")
list(LENGTH kernel_names kernel_count)
list(LENGTH packer_names packer_count)
message(STATUS "${kernel_count} kernels and ${packer_count} packers planned for ${plan_isas}")

if(NOT SEPAL_HOST_BUILD)
    add_executable(sepal-table compile/table_main.cpp)
    target_link_libraries(sepal-table PRIVATE sepal_kernel_table fmt::fmt-header-only)
    add_executable(sepal-compile compile/compile_main.cpp)
    target_link_libraries(sepal-compile PRIVATE sepal_codegen fmt::fmt-header-only nlohmann_json::nlohmann_json)
endif()

# libHalide keeps memory until the process ends, which is no leak of the driver's.
set(compile_environment "")
if(SEPAL_SANITIZE STREQUAL "address")
    set(compile_environment ${CMAKE_COMMAND} -E env ASAN_OPTIONS=detect_leaks=0)
elseif(SEPAL_SANITIZE STREQUAL "thread")  # ThreadSanitizer cannot follow it to a stack of its own
    set(compile_environment ${CMAKE_COMMAND} -E env HL_COMPILER_STACK_SIZE=0)
endif()

set(kernel_objects "")
set(kernel_specs "")
set(kernel_built "")
foreach(kernel IN LISTS kernel_names)
    set(spec ${kernel_dir}/${kernel}.spec.json)
    add_custom_command(OUTPUT ${kernel_dir}/${kernel}.o ${kernel_dir}/${kernel}.built.json
        COMMAND ${compile_environment} $<TARGET_FILE:sepal-compile> kernel ${spec} ${kernel_dir} DEPENDS sepal-compile ${spec}
        COMMENT "Kernel ${kernel}" VERBATIM)
    list(APPEND kernel_objects ${kernel_dir}/${kernel}.o)
    list(APPEND kernel_specs ${spec})
    list(APPEND kernel_built ${kernel_dir}/${kernel}.built.json)
endforeach()
foreach(packer IN LISTS packer_names)
    set(spec ${kernel_dir}/${packer}.spec.json)
    add_custom_command(OUTPUT ${kernel_dir}/${packer}.o
        COMMAND ${compile_environment} $<TARGET_FILE:sepal-compile> packer ${spec} ${kernel_dir} DEPENDS sepal-compile ${spec}
        COMMENT "Packer ${packer}" VERBATIM)
    list(APPEND kernel_objects ${kernel_dir}/${packer}.o)
endforeach()
add_custom_command(OUTPUT ${kernel_dir}/halide_runtime.o COMMAND ${compile_environment} $<TARGET_FILE:sepal-compile> runtime ${kernel_dir}/halide_runtime.o
    ${sepal_target_runtime} DEPENDS sepal-compile VERBATIM)
if(SEPAL_HOST_BUILD)
    return()
endif()
set(builtin_table ${kernel_dir}/sepal_builtin_kernels.c)
add_custom_command(OUTPUT ${builtin_table}
    COMMAND sepal-table ${builtin_table} sepal_builtin_kernels ${kernel_specs}
    DEPENDS sepal-table ${kernel_built} ${kernel_specs} COMMENT "Table of ${kernel_count} variants" VERBATIM)

# Halide's runtime, once for all kernels: the thread pool, memory, error handling.
add_library(sepal_halide_runtime STATIC ${kernel_dir}/halide_runtime.o ${sanitizer_sources})
set_target_properties(sepal_halide_runtime PROPERTIES LINKER_LANGUAGE CXX)
target_link_libraries(sepal_halide_runtime INTERFACE Threads::Threads ${CMAKE_DL_LIBS})

add_library(sepal_kernels STATIC ${CMAKE_SOURCE_DIR}/runtime/builtin_registry.cpp ${builtin_table} ${kernel_objects})
set_source_files_properties(${kernel_objects} ${kernel_dir}/halide_runtime.o PROPERTIES EXTERNAL_OBJECT TRUE GENERATED TRUE)
target_link_libraries(sepal_kernels PUBLIC sepal_problem sepal_halide_runtime)
