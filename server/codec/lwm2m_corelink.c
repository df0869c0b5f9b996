/* lwm2m_corelink.c - see lwm2m_corelink.h.
 *
 *   links = link *( "," link );  link = "<" uri ">" *( ";" key [ "=" ( quoted | bare ) ] )
 *
 * The alternate root is the uri of the link that carries rt="oma.lwm2m"; since it may come after
 * the links that use it, uris become paths in a second pass. */
#include "codec/lwm2m_corelink.h"

#define LINKS_MAX 4096
#define ATTRS_MAX 64 /* per link */

struct cursor {
    const char *p, *end;
};

static void skip_spaces(struct cursor *c)
{
    while (c->p < c->end && (*c->p == ' ' || *c->p == '\t' || *c->p == '\r' || *c->p == '\n'))
        c->p++;
}

static bool take(struct cursor *c, char want)
{
    if (c->p == c->end || *c->p != want)
        return false;
    c->p++;
    return true;
}

/* Bytes up to the first of `stops` or the end. */
static struct str until(struct cursor *c, const char *stops)
{
    const char *from = c->p;
    while (c->p < c->end && (*c->p == '\0' || !strchr(stops, *c->p)))
        c->p++;
    return str_make(from, (size_t)(c->p - from));
}

static struct str trim(struct str s)
{
    while (s.n && (s.p[s.n - 1] == ' ' || s.p[s.n - 1] == '\t'))
        s.n--;
    return s;
}

/* A quoted value without its quotes; backslash escapes are kept as written unless they occur, in
 * which case the unescaped text goes to the arena. */
static enum err quoted(struct arena *a, struct cursor *c, struct str *out)
{
    const char *from = c->p;
    bool escaped = false;
    while (c->p < c->end && *c->p != '"') {
        if (*c->p == '\\') {
            escaped = true;
            c->p++;
        }
        if (c->p < c->end)
            c->p++;
    }
    struct str raw = str_make(from, (size_t)(c->p - from));
    if (!take(c, '"'))
        return ERR_INVALID;
    if (escaped) {
        char *copy = arena_alloc(a, raw.n + 1);
        size_t n = 0;
        if (!copy)
            return ERR_NOMEM;
        for (size_t i = 0; i < raw.n; i++) {
            if (raw.p[i] == '\\' && i + 1 < raw.n)
                i++;
            copy[n++] = raw.p[i];
        }
        raw = str_make(copy, n);
    }
    *out = raw;
    return ERR_OK;
}

static enum err parse_attr(struct arena *a, struct cursor *c, struct lw_link_attr *out)
{
    skip_spaces(c);
    struct lw_link_attr attr = {.key = trim(until(c, "=;,\"<>"))};
    if (!attr.key.n)
        return ERR_INVALID;
    if (take(c, '=')) {
        if (take(c, '"')) {
            enum err e = quoted(a, c, &attr.value);
            if (e)
                return e;
        } else {
            attr.value = trim(until(c, ";,\"<>"));
        }
    }
    *out = attr;
    return ERR_OK;
}

static enum err parse_attrs(struct arena *a, struct cursor *c, struct lw_link *link)
{
    size_t cap = 0;
    for (skip_spaces(c); take(c, ';'); skip_spaces(c)) {
        struct lw_link_attr attr;
        enum err e = parse_attr(a, c, &attr);
        if (e)
            return e;
        if (link->n_attrs == ATTRS_MAX)
            return ERR_TOOBIG;
        link->attrs = arena_grow(a, link->attrs, &cap, link->n_attrs + 1, sizeof attr);
        if (!link->attrs)
            return ERR_NOMEM;
        link->attrs[link->n_attrs++] = attr;
    }
    return ERR_OK;
}

static enum err parse_link(struct arena *a, struct cursor *c, struct lw_link *out)
{
    struct lw_link link = {0};
    skip_spaces(c);
    if (!take(c, '<'))
        return ERR_INVALID;
    link.uri = until(c, "<>");
    if (!take(c, '>'))
        return ERR_INVALID;
    enum err e = parse_attrs(a, c, &link);
    if (!e)
        *out = link;
    return e;
}

static enum err add_link(struct arena *a, struct lw_links *list, struct lw_link link)
{
    if (list->n == LINKS_MAX)
        return ERR_TOOBIG;
    struct lw_link *v = arena_grow(a, list->v, &list->cap, list->n + 1, sizeof *v);
    if (!v)
        return ERR_NOMEM;
    list->v = v;
    v[list->n++] = link;
    return ERR_OK;
}

static struct str strip_slash(struct str s)
{
    if (s.n > 1 && s.p[s.n - 1] == '/')
        s.n--;
    return s;
}

static void find_root(struct lw_links *list)
{
    list->root = str_of("");
    for (size_t i = 0; i < list->n; i++)
        if (str_is(lw_link_attr_find(&list->v[i], "rt"), "oma.lwm2m")) {
            struct str root = strip_slash(list->v[i].uri);
            if (!str_is(root, "/"))
                list->root = root;
            return;
        }
}

void lw_link_resolve(struct lw_link *link, struct str root)
{
    struct str uri = link->uri;
    if (root.n && uri.n >= root.n && !memcmp(uri.p, root.p, root.n) &&
        (uri.n == root.n || uri.p[root.n] == '/'))
        uri = str_make(uri.p + root.n, uri.n - root.n);
    if (!uri.n)
        uri = str_of("/");
    link->is_path = uri.p[0] == '/' && !lw_path_parse(uri, &link->path);
}

enum err lw_links_parse(struct arena *a, struct str text, struct lw_links *out)
{
    struct lw_links list = {.root = str_of("")};
    struct cursor c = {text.p, text.n ? text.p + text.n : text.p};
    if (!str_utf8_valid(text))
        return ERR_UTF8;
    skip_spaces(&c);
    while (c.p < c.end) {
        struct lw_link link;
        enum err e = parse_link(a, &c, &link);
        if (!e)
            e = add_link(a, &list, link);
        if (e)
            return e;
        skip_spaces(&c);
        if (c.p < c.end && !take(&c, ','))
            return ERR_INVALID;
        skip_spaces(&c);
    }
    find_root(&list);
    for (size_t i = 0; i < list.n; i++)
        lw_link_resolve(&list.v[i], list.root);
    *out = list;
    return ERR_OK;
}

enum err lw_links_add(struct arena *a, struct lw_links *list, struct lw_path path)
{
    char text[LW_PATH_TEXT];
    size_t n = lw_path_text(path, text);
    struct lw_link link = {.is_path = true, .path = path, .uri = arena_str(a, str_make(text, n))};
    return link.uri.p ? add_link(a, list, link) : ERR_NOMEM;
}

enum err lw_link_attr_add(struct arena *a, struct lw_link *l, const char *key, struct str value)
{
    struct lw_link_attr *v = arena_calloc(a, l->n_attrs + 1, sizeof *v);
    if (!v)
        return ERR_NOMEM;
    if (l->n_attrs)
        memcpy(v, l->attrs, l->n_attrs * sizeof *v);
    v[l->n_attrs++] = (struct lw_link_attr){str_of(key), value};
    l->attrs = v;
    return ERR_OK;
}

struct str lw_link_attr_find(const struct lw_link *l, const char *key)
{
    for (size_t i = 0; i < l->n_attrs; i++)
        if (str_is(l->attrs[i].key, key))
            return l->attrs[i].value;
    return str_make(NULL, 0);
}

/* Bare when it is a plain token (numbers, versions), quoted otherwise. */
static void write_value(struct buf *out, struct str v)
{
    bool bare = v.n > 0;
    for (size_t i = 0; i < v.n; i++) {
        char c = v.p[i];
        bare = bare && ((c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') ||
                        (c >= 'a' && c <= 'z') || c == '.' || c == '-' || c == '_' || c == '+');
    }
    if (bare && ((v.p[0] >= '0' && v.p[0] <= '9') || v.p[0] == '-')) {
        buf_str(out, v);
        return;
    }
    buf_putc(out, '"');
    for (size_t i = 0; i < v.n; i++) {
        if (v.p[i] == '"' || v.p[i] == '\\')
            buf_putc(out, '\\');
        buf_putc(out, v.p[i]);
    }
    buf_putc(out, '"');
}

void lw_links_write(struct buf *out, const struct lw_links *links)
{
    for (size_t i = 0; i < links->n; i++) {
        const struct lw_link *l = &links->v[i];
        buf_puts(out, i ? ",<" : "<");
        buf_str(out, l->uri);
        buf_putc(out, '>');
        for (size_t k = 0; k < l->n_attrs; k++) {
            buf_putc(out, ';');
            buf_str(out, l->attrs[k].key);
            if (l->attrs[k].value.p) {
                buf_putc(out, '=');
                write_value(out, l->attrs[k].value);
            }
        }
    }
}
