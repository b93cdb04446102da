# Programs of NVIDIA's CUDA Toolkit, for machine code of GPU kernels: ptxas and fatbinary in SEPAL_CUDA_BIN, or else in the first suitable
# folder of PATH, /usr/local/cuda/bin and the site-packages of ${SEPAL_PYTHON} (PyPI's nvidia-cuda-nvcc); nvdisasm there, or from PyPI's
# nvidia-cuda-nvdisasm.
#   SEPAL_CUDA_BIN_DEFAULT  the folder of ptxas and fatbinary; empty where there is none, and then GPU kernels are shipped as PTX
#   SEPAL_NVDISASM_DEFAULT  the path of nvdisasm; empty where there is none, and then the GPU report has nothing of machine code
set(SEPAL_CUDA_BIN "" CACHE PATH "Folder that holds ptxas and fatbinary of the CUDA Toolkit; empty: looked for")
execute_process(COMMAND ${SEPAL_PYTHON} -c "import sysconfig; print(sysconfig.get_path('purelib'))"
    OUTPUT_VARIABLE cuda_site OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
file(GLOB cuda_wheel_folders ${cuda_site}/nvidia/cu*/bin)
set(SEPAL_CUDA_BIN_DEFAULT "")
if(SEPAL_CUDA_BIN)
    set(cuda_folders ${SEPAL_CUDA_BIN})
else()
    string(REPLACE ":" ";" cuda_folders "$ENV{PATH}")
    list(APPEND cuda_folders /usr/local/cuda/bin ${cuda_wheel_folders})
endif()
foreach(folder IN LISTS cuda_folders)
    if(EXISTS ${folder}/ptxas AND EXISTS ${folder}/fatbinary)
        execute_process(COMMAND ${folder}/ptxas --version OUTPUT_VARIABLE answer ERROR_QUIET RESULT_VARIABLE failed)
        if(NOT failed AND answer MATCHES "release ([0-9.]+)")
            set(SEPAL_CUDA_BIN_DEFAULT ${folder})
            message(STATUS "GPU kernels are compiled with ${folder}/ptxas (CUDA ${CMAKE_MATCH_1})")
            break()
        endif()
    endif()
endforeach()
if(SEPAL_CUDA_BIN AND NOT SEPAL_CUDA_BIN_DEFAULT)
    message(FATAL_ERROR "SEPAL_CUDA_BIN is ${SEPAL_CUDA_BIN}, which holds no ptxas and fatbinary that run; leave it empty to look for them")
endif()
if(NOT SEPAL_CUDA_BIN_DEFAULT)
    message(STATUS "GPU kernels are shipped as PTX, which the driver compiles: there are no ptxas and fatbinary on PATH or in "
        "/usr/local/cuda/bin (NVIDIA's CUDA Toolkit, or set SEPAL_CUDA_BIN)")
endif()
find_program(SEPAL_NVDISASM_DEFAULT nvdisasm HINTS ${SEPAL_CUDA_BIN_DEFAULT} /usr/local/cuda/bin ${cuda_wheel_folders} NO_CACHE)
if(NOT SEPAL_NVDISASM_DEFAULT)
    set(SEPAL_NVDISASM_DEFAULT "")
    message(STATUS "The GPU report has nothing of machine code: there is no nvdisasm on PATH (PyPI: nvidia-cuda-nvdisasm)")
endif()
