# Writes INPUT's bytes into OUTPUT as C: description_builtin() of description.h.
file(READ ${INPUT} hex HEX)
string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," bytes "${hex}")
string(REGEX REPLACE "(0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,)" "\\1\n" bytes "${bytes}")
file(WRITE ${OUTPUT} "#include \"description.h\"\n
static const unsigned char bytes[] = {\n${bytes}\n};\n
struct str description_builtin(void)\n{
    return str_make((const char *)bytes, sizeof bytes);\n}\n")
