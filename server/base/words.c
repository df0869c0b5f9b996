/* words.c - see words.h.  The map's key is the text inside its value. */
#include "base/words.h"

#include <stddef.h>
#include <stdlib.h>

struct word {
    uint32_t refs, n;
    char text[];
};

static struct word *word_of(const char *text)
{
    return (struct word *)(uintptr_t)(text - offsetof(struct word, text));
}

void words_init(struct words *w, uint64_t seed)
{
    map_init(&w->by_text, seed);
}

void words_fini(struct words *w)
{
    map_fini(&w->by_text);
}

const char *words_take(struct words *w, struct str text)
{
    struct word *found = map_find(&w->by_text, text);
    if (found) {
        found->refs++;
        return found->text;
    }
    if (text.n >= UINT32_MAX)
        return NULL;
    struct word *made = malloc(sizeof *made + text.n + 1);
    if (!made)
        return NULL;
    made->refs = 1;
    made->n = (uint32_t)text.n;
    if (text.n)
        memcpy(made->text, text.p, text.n);
    made->text[text.n] = '\0';
    if (map_put(&w->by_text, str_make(made->text, text.n), made, NULL)) {
        free(made);
        return NULL;
    }
    return made->text;
}

void words_put(struct words *w, const char *text)
{
    struct word *word = text ? word_of(text) : NULL;
    if (!word || --word->refs)
        return;
    map_remove(&w->by_text, str_make(word->text, word->n));
    free(word);
}

size_t words_len(const char *text)
{
    return word_of(text)->n;
}
