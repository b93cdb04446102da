# Halide as PyPI's `halide` wheel installs it in the site-packages of ${SEPAL_PYTHON}:
#   Halide::Halide        headers and libHalide, for the programs that generate kernels
#   Halide::Runtime       HalideRuntime.h alone, for what applications link
#   SEPAL_HALIDE_LICENSE  its licence
#   SEPAL_HALIDE_FOLDER   the folder of libHalide, and of the autoschedulers
execute_process(
    COMMAND ${SEPAL_PYTHON} -c "import importlib.util, importlib.metadata, os; print(os.path.dirname(importlib.util.find_spec('halide').origin)); print(importlib.metadata.version('halide'))"
    OUTPUT_VARIABLE halide_location ERROR_VARIABLE halide_error RESULT_VARIABLE halide_result OUTPUT_STRIP_TRAILING_WHITESPACE)
if(NOT halide_result EQUAL 0)
    message(FATAL_ERROR "Python package halide was not found by ${SEPAL_PYTHON}; run tools/setup.sh, or set SEPAL_PYTHON to a "
        "Python that has the packages of requirements.txt. ${halide_error}")
endif()
string(REPLACE "\n" ";" halide_location "${halide_location}")
list(GET halide_location 0 halide_root)
list(GET halide_location 1 SEPAL_HALIDE_VERSION)
if(NOT SEPAL_HALIDE_VERSION VERSION_EQUAL 21.0.0)
    message(FATAL_ERROR "Python package halide is ${SEPAL_HALIDE_VERSION}; Sepal is made for 21.0.0 (requirements.txt)")
endif()
set(SEPAL_HALIDE_FOLDER ${halide_root}/lib64)
file(GLOB SEPAL_HALIDE_LICENSE ${halide_root}/../halide-${SEPAL_HALIDE_VERSION}.dist-info/licenses/LICENSE.txt)

add_library(Halide::Runtime INTERFACE IMPORTED)
target_include_directories(Halide::Runtime SYSTEM INTERFACE ${halide_root}/include)
add_library(Halide::Halide SHARED IMPORTED)
set_target_properties(Halide::Halide PROPERTIES IMPORTED_LOCATION ${halide_root}/lib64/libHalide.so)
target_include_directories(Halide::Halide SYSTEM INTERFACE ${halide_root}/include)
