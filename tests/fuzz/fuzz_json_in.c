/* Any bytes into the JSON reader: it must end, within its arena, and without a leak. */
#include "codec/json_in.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static size_t count(const struct json_node *n)
{
    size_t total = 1;
    for (const struct json_node *m = n->child; m; m = m->next)
        total += count(m);
    return total;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct arena a;
    struct json_node *root = NULL;
    arena_init(&a, 4096, 1 << 20);
    enum err e = json_parse(&a, str_make((const char *)data, n), 5000, &root);
    if ((e == ERR_OK) != (root != NULL) || (root && count(root) > 5000))
        abort();
    arena_fini(&a);
    return 0;
}
