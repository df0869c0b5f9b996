/* err.h - the one error vocabulary of Braid.
 *
 * Fallible functions return enum err and hand results over through their last pointer, which is
 * untouched on failure.  The words are for logs and metrics; what an API client sees is decided
 * where the request is answered. */
#ifndef BRAID_BASE_ERR_H
#define BRAID_BASE_ERR_H

#define MUST_CHECK __attribute__((warn_unused_result))

/* X(enumerator, word) */
#define ERR_TABLE(X)                                                                               \
    X(ERR_OK, "ok")                                                                                \
    X(ERR_NOMEM, "out_of_memory")                                                                  \
    X(ERR_INVALID, "invalid")     /* malformed or contradictory input */                           \
    X(ERR_RANGE, "out_of_range")  /* well formed, but outside what is allowed */                   \
    X(ERR_TYPE, "wrong_type")     /* a value of another type than the model says */                \
    X(ERR_TRUNCATED, "truncated") /* input ends before it is complete */                           \
    X(ERR_DEPTH, "too_deep")      /* nesting beyond the limit */                                   \
    X(ERR_TOOBIG, "too_big")      /* size or count beyond the limit */                             \
    X(ERR_UTF8, "invalid_utf8")                                                                    \
    X(ERR_UNSUPPORTED, "unsupported") /* understood, but not something we do */                    \
    X(ERR_NOTFOUND, "not_found")                                                                   \
    X(ERR_EXISTS, "exists")                                                                        \
    X(ERR_CONFLICT, "conflict")                                                                    \
    X(ERR_DENIED, "denied")                                                                        \
    X(ERR_FULL, "full")     /* a bounded queue has no room */                                      \
    X(ERR_CLOSED, "closed") /* the other side is gone or stopping */                               \
    X(ERR_AGAIN, "again")   /* nothing now; later perhaps */                                       \
    X(ERR_TIMEOUT, "timeout")                                                                      \
    X(ERR_IO, "io")                                                                                \
    X(ERR_DB, "database")   /* PostgreSQL refused or is away */                                    \
    X(ERR_BROKER, "broker") /* the MQTT broker refused or is away */

enum err {
#define X(id, word) id,
    ERR_TABLE(X)
#undef X
        ERR_COUNT
};

/* err_word returns the stable lower-case word of `e` ("not_found"); static storage. */
const char *err_word(enum err e);

#endif
