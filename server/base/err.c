/* err.c - words for enum err. */
#include "base/err.h"

static const char *const words[ERR_COUNT] = {
#define X(id, word) [id] = word,
    ERR_TABLE(X)
#undef X
};

const char *err_word(enum err e)
{
    return (unsigned)e < ERR_COUNT ? words[e] : "unknown";
}
