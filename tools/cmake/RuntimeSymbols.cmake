# Writes to SYMBOLS, for objcopy --redefine-syms, what each global name that OBJECT defines is to be: with the prefix sepal_rt_. To HEADER, where that is
# given, the same of Halide's functions for the C preprocessor.
execute_process(COMMAND ${NM} --defined-only --extern-only --format=posix ${OBJECT} OUTPUT_VARIABLE names COMMAND_ERROR_IS_FATAL ANY)
string(REGEX REPLACE "([^ \n]+) [^\n]*\n" "\\1 sepal_rt_\\1\n" names "${names}")
file(WRITE ${SYMBOLS} "${names}")
if(HEADER)
    string(REGEX MATCHALL "halide_[a-z0-9_]+ sepal_rt_halide_[^\n]+" names "\n${names}")
    list(TRANSFORM names PREPEND "#define ")
    list(JOIN names "\n" names)
    file(WRITE ${HEADER} "${names}\n")
endif()
