# Toolchain: Linux on 64-bit ARM by GNU's cross compiler (Debian: g++-aarch64-linux-gnu), whose programs qemu-aarch64 runs where it is installed
# (Debian: qemu-user).
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR aarch64)
set(CMAKE_C_COMPILER aarch64-linux-gnu-gcc)
set(CMAKE_CXX_COMPILER aarch64-linux-gnu-g++)
set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)
find_program(SEPAL_QEMU NAMES qemu-aarch64 qemu-aarch64-static)
if(SEPAL_QEMU)
    set(CMAKE_CROSSCOMPILING_EMULATOR ${SEPAL_QEMU} -L /usr/aarch64-linux-gnu)
endif()
