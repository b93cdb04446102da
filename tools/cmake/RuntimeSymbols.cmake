# Writes to SYMBOLS, for objcopy --redefine-syms, what each global name that OBJECT defines is to be: with the prefix sepal_rt_.
execute_process(COMMAND ${NM} --defined-only --extern-only --format=posix ${OBJECT} OUTPUT_VARIABLE names COMMAND_ERROR_IS_FATAL ANY)
string(REGEX REPLACE "([^ \n]+) [^\n]*\n" "\\1 sepal_rt_\\1\n" names "${names}")
file(WRITE ${SYMBOLS} "${names}")
