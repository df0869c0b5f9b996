# Writes INPUT's bytes as a C array to OUTPUT, declared in HEADER:
# cmake -DINPUT=.. -DOUTPUT=.. -DNAME=.. -DHEADER=.. -P embed.cmake
file(READ ${INPUT} hex HEX)
string(REGEX REPLACE "(................................)" "\\1\n" hex "${hex}")
string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," bytes "${hex}")
file(WRITE ${OUTPUT} "/* Generated from ${INPUT}; do not edit. */
#include \"${HEADER}\"

const unsigned char ${NAME}[] = {
${bytes}};
const size_t ${NAME}_size = sizeof ${NAME};
")
