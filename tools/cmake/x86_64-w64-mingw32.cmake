# Toolchain: 64-bit Windows by MinGW-w64's cross compiler with POSIX threads (Debian: g++-mingw-w64-x86-64), whose programs wine runs where it is
# installed (Debian: wine64).
set(CMAKE_SYSTEM_NAME Windows)
set(CMAKE_SYSTEM_PROCESSOR x86_64)
set(CMAKE_C_COMPILER x86_64-w64-mingw32-gcc-posix)
set(CMAKE_CXX_COMPILER x86_64-w64-mingw32-g++-posix)
set(CMAKE_RC_COMPILER x86_64-w64-mingw32-windres)
set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)
find_program(SEPAL_WINE NAMES wine64 wine)
if(SEPAL_WINE)
    set(CMAKE_CROSSCOMPILING_EMULATOR ${SEPAL_WINE})
endif()
