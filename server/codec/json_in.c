/* json_in.c - see json_in.h.
 *
 * libyajl calls back per token; we hang nodes into the arena and keep one frame per open
 * container (its node and the last child), so parsing needs no recursion and the depth limit is
 * the size of that stack.  yajl does not check its own allocations, so it keeps malloc's memory
 * and never sees the arena's ceiling. */
#include "codec/json_in.h"

#include <math.h>
#include <stdlib.h>
#include <yajl/yajl_parse.h>

#define EXACT_MAX   9007199254740992.0 /* 2^53 */
#define FEW_MEMBERS 12                 /* compared pairwise; more are sorted */

struct frame {
    struct json_node *node;
    struct json_node *last;
};

struct parse {
    struct arena *a;
    size_t nodes_left;
    unsigned depth; /* open containers */
    struct frame stack[JSON_IN_DEPTH];
    struct str key; /* of the member to come */
    struct json_node *root;
    enum err err;
};

static int stop(struct parse *p, enum err e)
{
    p->err = e;
    return 0; /* yajl cancels */
}

/* Adds a node to the open container; NULL after stop(). */
static struct json_node *add(struct parse *p, enum json_kind kind)
{
    if (!p->nodes_left) {
        stop(p, ERR_TOOBIG);
        return NULL;
    }
    p->nodes_left--;
    struct json_node *n = arena_calloc(p->a, 1, sizeof *n);
    if (!n) {
        stop(p, ERR_TOOBIG);
        return NULL;
    }
    n->kind = kind;
    if (!p->depth) {
        p->root = n;
        return n;
    }
    struct frame *f = &p->stack[p->depth - 1];
    if (f->node->kind == JSON_OBJECT)
        n->key = p->key;
    if (f->last)
        f->last->next = n;
    else
        f->node->child = n;
    f->last = n;
    f->node->n++;
    return n;
}

static bool copy(struct parse *p, const void *text, size_t n, struct str *out)
{
    *out = arena_str(p->a, str_make(text, n));
    if (!out->p)
        stop(p, ERR_TOOBIG);
    return out->p != NULL;
}

static int on_null(void *ctx)
{
    return add(ctx, JSON_NULL) != NULL;
}

static int on_boolean(void *ctx, int v)
{
    struct json_node *n = add(ctx, JSON_BOOL);
    if (n)
        n->boolean = v != 0;
    return n != NULL;
}

static int on_number(void *ctx, const char *text, size_t n)
{
    struct json_node *node = add(ctx, JSON_NUMBER);
    return node && copy(ctx, text, n, &node->text);
}

/* Escapes can smuggle in what the raw text may not hold: NUL and lone surrogates. */
static int on_string(void *ctx, const unsigned char *text, size_t n)
{
    if (!str_utf8_valid(str_make((const char *)text, n)))
        return stop(ctx, ERR_UTF8);
    struct json_node *node = add(ctx, JSON_STRING);
    return node && copy(ctx, text, n, &node->text);
}

static int on_key(void *ctx, const unsigned char *text, size_t n)
{
    struct parse *p = ctx;
    if (!str_utf8_valid(str_make((const char *)text, n)))
        return stop(p, ERR_UTF8);
    return copy(p, text, n, &p->key);
}

static int open_container(struct parse *p, enum json_kind kind)
{
    if (p->depth == JSON_IN_DEPTH)
        return stop(p, ERR_DEPTH);
    struct json_node *n = add(p, kind);
    if (!n)
        return 0;
    p->stack[p->depth++] = (struct frame){.node = n};
    return 1;
}

static int on_start_map(void *ctx)
{
    return open_container(ctx, JSON_OBJECT);
}

static int on_start_array(void *ctx)
{
    return open_container(ctx, JSON_ARRAY);
}

static int cmp_keys(const void *a, const void *b)
{
    const struct json_node *const *x = a, *const *y = b;
    return str_cmp((*x)->key, (*y)->key);
}

static bool few_are_unique(const struct json_node *object)
{
    for (const struct json_node *x = object->child; x; x = x->next)
        for (const struct json_node *y = x->next; y; y = y->next)
            if (str_eq(x->key, y->key))
                return false;
    return true;
}

/* ERR_CONFLICT when two members share a key; n log n for large objects. */
static enum err check_keys(struct arena *a, const struct json_node *object)
{
    if (object->n <= FEW_MEMBERS)
        return few_are_unique(object) ? ERR_OK : ERR_CONFLICT;
    const struct json_node **sorted = arena_calloc(a, object->n, sizeof *sorted);
    if (!sorted)
        return ERR_TOOBIG;
    size_t n = 0;
    for (const struct json_node *m = object->child; m; m = m->next)
        sorted[n++] = m;
    qsort(sorted, n, sizeof *sorted, cmp_keys);
    for (size_t i = 1; i < n; i++)
        if (str_eq(sorted[i - 1]->key, sorted[i]->key))
            return ERR_CONFLICT;
    return ERR_OK;
}

static int on_end_map(void *ctx)
{
    struct parse *p = ctx;
    enum err e = check_keys(p->a, p->stack[--p->depth].node);
    return e ? stop(p, e) : 1;
}

static int on_end_array(void *ctx)
{
    struct parse *p = ctx;
    p->depth--;
    return 1;
}

static const yajl_callbacks callbacks = {
    .yajl_null = on_null,
    .yajl_boolean = on_boolean,
    .yajl_number = on_number,
    .yajl_string = on_string,
    .yajl_start_map = on_start_map,
    .yajl_map_key = on_key,
    .yajl_end_map = on_end_map,
    .yajl_start_array = on_start_array,
    .yajl_end_array = on_end_array,
};

/* At the end of the text only yajl's words tell what was missing from what was wrong. */
static enum err end_error(yajl_handle y, struct str text)
{
    unsigned char *words = yajl_get_error(y, 0, (const unsigned char *)text.p, text.n);
    bool short_of = words && strstr((const char *)words, "premature EOF");
    yajl_free_error(y, words);
    return short_of ? ERR_TRUNCATED : ERR_INVALID;
}

enum err json_parse(struct arena *a, struct str text, size_t max_nodes, struct json_node **out)
{
    if (!text.n)
        return ERR_TRUNCATED;
    if (memchr(text.p, '\0', text.n))
        return ERR_INVALID;
    if (!str_utf8_valid(text))
        return ERR_UTF8;
    struct parse p = {.a = a, .nodes_left = max_nodes};
    yajl_handle y = yajl_alloc(&callbacks, NULL, &p);
    if (!y)
        return ERR_NOMEM;
    enum err e = ERR_OK;
    if (yajl_parse(y, (const unsigned char *)text.p, text.n) != yajl_status_ok)
        e = p.err ? p.err : ERR_INVALID;
    else if (yajl_complete_parse(y) != yajl_status_ok)
        e = p.err ? p.err : end_error(y, text);
    else if (!p.root)
        e = ERR_TRUNCATED;
    yajl_free(y);
    if (!e)
        *out = p.root;
    return e;
}

const struct json_node *json_get(const struct json_node *o, const char *key)
{
    if (!o || o->kind != JSON_OBJECT)
        return NULL;
    struct str want = str_of(key);
    for (const struct json_node *m = o->child; m; m = m->next)
        if (str_eq(m->key, want))
            return m;
    return NULL;
}

bool json_is_str(const struct json_node *n, struct str *out)
{
    if (!n || n->kind != JSON_STRING)
        return false;
    *out = n->text;
    return true;
}

/* 20.0 and 2e1 are integers too, as long as a double holds them exactly. */
static bool integral(const struct json_node *n, double *out)
{
    return n->kind == JSON_NUMBER && !str_to_double(n->text, out) && *out == floor(*out) &&
           fabs(*out) <= EXACT_MAX;
}

bool json_is_i64(const struct json_node *n, int64_t *out)
{
    double f = 0;
    if (!n || (n->kind != JSON_NUMBER && n->kind != JSON_STRING))
        return false;
    if (!str_to_i64(n->text, out))
        return true;
    if (!integral(n, &f))
        return false;
    *out = (int64_t)f;
    return true;
}

bool json_is_u64(const struct json_node *n, uint64_t *out)
{
    double f = 0;
    if (!n || (n->kind != JSON_NUMBER && n->kind != JSON_STRING))
        return false;
    if (!str_to_u64(n->text, out))
        return true;
    if (!integral(n, &f) || f < 0)
        return false;
    *out = (uint64_t)f;
    return true;
}

bool json_is_double(const struct json_node *n, double *out)
{
    return n && n->kind == JSON_NUMBER && !str_to_double(n->text, out);
}

bool json_is_bool(const struct json_node *n, bool *out)
{
    if (!n || n->kind != JSON_BOOL)
        return false;
    *out = n->boolean;
    return true;
}
