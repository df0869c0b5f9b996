/* grow.c - see grow.h. */
#include "base/grow.h"

#include <stdint.h>
#include <stdlib.h>

#define FIRST 64

void *grow(void *v, size_t *cap, size_t need, size_t size)
{
    size_t next = *cap ? *cap : FIRST;
    if (v && need <= *cap)
        return v;
    if (need > SIZE_MAX / 2 / size)
        return NULL;
    while (next < need)
        next *= 2;
    v = reallocarray(v, next, size);
    if (v)
        *cap = next;
    return v;
}
