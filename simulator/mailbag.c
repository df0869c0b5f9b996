/* mailbag.c - see mailbag.h. */
#include "mailbag.h"

#include <stdlib.h>

void mailbag_init(struct mailbag *b)
{
    *b = (struct mailbag){.last = &b->first};
}

enum err mailbag_put(struct mailbag *b, struct str topic, struct str payload)
{
    if (b->n >= MAILBAG_MAX)
        return ERR_FULL;
    struct letter *l = malloc(sizeof *l + topic.n + payload.n);
    if (!l)
        return ERR_NOMEM;
    char *bytes = (char *)(l + 1);
    if (topic.n)
        memcpy(bytes, topic.p, topic.n);
    if (payload.n)
        memcpy(bytes + topic.n, payload.p, payload.n);
    *l = (struct letter){.topic = str_make(bytes, topic.n),
                         .payload = str_make(bytes + topic.n, payload.n)};
    *b->last = l;
    b->last = &l->next;
    b->n++;
    return ERR_OK;
}

struct letter *mailbag_take(struct mailbag *b)
{
    struct letter *l = b->first;
    if (!l)
        return NULL;
    b->first = l->next;
    if (!b->first)
        b->last = &b->first;
    b->n--;
    return l;
}

void mailbag_empty(struct mailbag *b)
{
    struct letter *l;
    while ((l = mailbag_take(b)) != NULL)
        free(l);
}
