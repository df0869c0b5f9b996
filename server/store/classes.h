/* classes.h - which retention class a series is in, and how far back a class reaches.
 *
 * Nearly all series are in class 0, so only the others are held, in order of their ids. */
#ifndef BRAID_STORE_CLASSES_H
#define BRAID_STORE_CLASSES_H

#include "port/pg.h"

/* Times outside are no times of samples: 1970 to 2200. */
#define HISTORY_FIRST_US INT64_C(0)
#define HISTORY_END_US   INT64_C(7258118400000000)

struct class_of {
    uint32_t series;
    int16_t class_id;
};

struct classes {
    struct class_of *v; /* series that are not in class 0, ascending */
    size_t n, cap;
    int64_t oldest_us[100]; /* by class: older samples are not kept */
};

void classes_init(struct classes *c);
void classes_fini(struct classes *c);
/* classes_read learns all anew. */
MUST_CHECK enum err classes_read(struct classes *c, struct pg *db);
int16_t classes_of(const struct classes *c, uint32_t series); /* unknown ones: 0 */
int64_t classes_oldest_us(const struct classes *c, int16_t class_id);

#endif
