# Writes the commit that is being built as a C++ string to OUTPUT: "unknown" outside a checkout, with "-dirty" behind it where files differ
# from it. Leaves the file alone when it says that already. cmake -DSOURCE=... -DOUTPUT=... -P WriteCommit.cmake
execute_process(COMMAND git -C ${SOURCE} describe --always --dirty --abbrev=12 --exclude=* OUTPUT_VARIABLE commit
                OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET RESULT_VARIABLE failed)
if(failed)
    set(commit unknown)
endif()
file(CONFIGURE OUTPUT ${OUTPUT} CONTENT "\"@commit@\"\n" @ONLY)
