/* params.c - builds parameter lists for the writer's state lane. */
#include "engine/engine_int.h"

#include "base/log.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>

void params_str(struct params *p, struct str s)
{
    assert(p->n < STORE_MAX_PARAMS);
    p->v[p->n++] = s;
}

void params_null(struct params *p)
{
    params_str(p, str_make(NULL, 0));
}

void params_text(struct params *p, const char *s)
{
    params_str(p, str_of(s));
}

void params_i64(struct params *p, int64_t v)
{
    assert(p->n < STORE_MAX_PARAMS);
    char *text = p->number[p->n];
    int n = snprintf(text, sizeof p->number[0], "%" PRId64, v);
    params_str(p, str_make(text, (size_t)n));
}

void params_ms(struct params *p, int64_t ms)
{
    if (ms)
        params_i64(p, ms);
    else
        params_null(p);
}

void params_bool(struct params *p, bool v)
{
    params_text(p, v ? "true" : "false");
}

bool caches_wanted(const struct shard *s)
{
    return s->stopping || writer_wants_caches(s->engine->writer);
}

void params_put(struct engine *e, enum store_stmt s, const struct params *p)
{
    enum err err = writer_put(e->writer, s, p->v, p->n, NULL, NULL);
    if (err) {
        metric_add(e->metrics, M_DROP_SPOOL, 1);
        log_error("engine.state_not_stored", KI("statement", s), KE(err));
    }
}
