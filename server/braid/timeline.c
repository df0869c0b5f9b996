/* timeline.c - see timeline.h: the words of the table, nothing else. */
#include "braid/timeline.h"

#include <stddef.h>

struct tl_words {
    const char *strand, *word;
};

static const struct tl_words tl_words[TL_COUNT] = {
#define X(id, strand, word) [id] = {strand, word},
    TL_TABLE(X)
#undef X
};

const char *tl_strand(enum tl_kind k)
{
    return (unsigned)k < TL_COUNT ? tl_words[k].strand : "braid";
}

const char *tl_word(enum tl_kind k)
{
    return (unsigned)k < TL_COUNT ? tl_words[k].word : "unknown";
}
