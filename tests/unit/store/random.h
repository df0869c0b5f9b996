/* random.h - numbers that look random and are the same in every run.  For one file of a test
 * program: it defines what it declares. */
#ifndef BRAID_TESTS_STORE_RANDOM_H
#define BRAID_TESTS_STORE_RANDOM_H

#include <stdint.h>

static uint64_t seed;

static inline void random_restart(void)
{
    seed = 88172645463325252u;
}

static inline uint64_t next(void)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return seed;
}

#endif
