/* request.c - reading what a client sent, with every size and form checked.
 *
 * Functions that can refuse answer the request themselves and return false, so a handler reads as
 * a row of `if (!request_x(r, ...)) return;`. */
#include "http/http_int.h"
#include "base/clock.h"
#include "store/history.h"

#include <arpa/inet.h>
#include <civetweb.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#define ARENA_CHUNK 16384
#define ARENA_LIMIT (24u << 20) /* a body of 1 MiB and its JSON tree fit well */
#define DRAIN_MAX   (16 << 20)  /* a larger body that was not read costs its connection */

static struct str header_of(const struct mg_request_info *info, const char *name)
{
    for (int i = 0; i < info->num_headers; i++)
        if (!strcasecmp(info->http_headers[i].name, name))
            return str_of(info->http_headers[i].value);
    return (struct str){0};
}

struct str request_header(const struct request *r, const char *name)
{
    return header_of(r->info, name);
}

static struct str trim(struct str s)
{
    while (s.n && (*s.p == ' ' || *s.p == '\t'))
        s = str_make(s.p + 1, s.n - 1);
    while (s.n && (s.p[s.n - 1] == ' ' || s.p[s.n - 1] == '\t'))
        s.n--;
    return s;
}

/* One network of the list, "127.0.0.0/8" or a plain address. */
static bool in_network(struct str net, uint32_t address)
{
    struct str bits_text = net;
    struct str base = str_cut(&bits_text, '/');
    char text[INET_ADDRSTRLEN];
    uint64_t bits = 32;
    struct in_addr a;
    if (!base.n || base.n >= sizeof text || (bits_text.p && str_to_u64(bits_text, &bits)) ||
        bits > 32)
        return false;
    memcpy(text, base.p, base.n);
    text[base.n] = 0;
    if (inet_pton(AF_INET, text, &a) != 1)
        return false;
    uint32_t mask = bits ? ~(uint32_t)0 << (32 - bits) : 0;
    return (ntohl(a.s_addr) & mask) == (address & mask);
}

bool address_trusted(const char *list, const char *address)
{
    struct in_addr a;
    if (inet_pton(AF_INET, address, &a) != 1)
        return false;
    struct str rest = str_of(list);
    while (rest.p && rest.n)
        if (in_network(trim(str_cut(&rest, ',')), ntohl(a.s_addr)))
            return true;
    return false;
}

/* Behind our proxy the client's address is the last one the proxy added. */
static void find_remote(struct request *r)
{
    snprintf(r->remote, sizeof r->remote, "%s", r->info->remote_addr);
    if (!address_trusted(r->http->config->http_trusted_proxies, r->remote))
        return;
    struct str forwarded = request_header(r, "X-Forwarded-For");
    struct str last = {0};
    while (forwarded.p)
        last = str_cut(&forwarded, ',');
    last = trim(last);
    struct in6_addr any;
    char text[48];
    if (last.n && last.n < sizeof text) {
        snprintf(text, sizeof text, "%.*s", STR_ARG(last));
        if (inet_pton(AF_INET, text, &any) == 1 || inet_pton(AF_INET6, text, &any) == 1)
            snprintf(r->remote, sizeof r->remote, "%s", text);
    }
    r->secure = str_is(request_header(r, "X-Forwarded-Proto"), "https");
}

void request_init(struct request *r, struct http *h, struct mg_connection *conn)
{
    *r = (struct request){.http = h, .conn = conn, .info = mg_get_request_info(conn)};
    arena_init(&r->arena, ARENA_CHUNK, ARENA_LIMIT);
    buf_init(&r->headers, 8192);
    buf_init(&r->out, HTTP_ANSWER_MAX);
    r->path = str_of(r->info->local_uri);
    r->head = !strcmp(r->info->request_method, "HEAD");
    find_remote(r);
}

void request_fini(struct request *r)
{
    request_db_end(r);
    buf_fini(&r->out);
    buf_fini(&r->headers);
    arena_fini(&r->arena);
}

static int hex_digit(char c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

/* Percent and plus decoding; .p NULL when malformed or not UTF-8. */
static struct str decode(struct arena *a, struct str s)
{
    char *out = arena_alloc(a, s.n + 1);
    size_t n = 0;
    for (size_t i = 0; out && i < s.n; i++) {
        if (s.p[i] == '%') {
            int hi = i + 2 < s.n ? hex_digit(s.p[i + 1]) : -1;
            int lo = i + 2 < s.n ? hex_digit(s.p[i + 2]) : -1;
            if (hi < 0 || lo < 0)
                return (struct str){0};
            out[n++] = (char)(hi * 16 + lo);
            i += 2;
        } else {
            out[n++] = s.p[i] == '+' ? ' ' : s.p[i];
        }
    }
    struct str v = str_make(out, n);
    return out && str_utf8_valid(v) ? v : (struct str){0};
}

struct str query_find(struct arena *a, struct str query, const char *name, size_t skip)
{
    while (query.p) {
        struct str value = str_cut(&query, '&');
        struct str key = str_cut(&value, '=');
        if (str_is(key, name) && !skip--)
            return value.p ? decode(a, value) : str_make("", 0);
    }
    return (struct str){0};
}

struct str request_query_at(struct request *r, const char *name, size_t i)
{
    return query_find(&r->arena, str_of(r->info->query_string), name, i);
}

struct str request_query(struct request *r, const char *name)
{
    return request_query_at(r, name, 0);
}

bool request_number(struct request *r, const char *name, int64_t def, int64_t lo, int64_t hi,
                    int64_t *out)
{
    struct str text = request_query(r, name);
    int64_t v = def;
    if (text.p && (str_to_i64(text, &v) || v < lo || v > hi)) {
        char detail[120];
        snprintf(detail, sizeof detail, "%s must be a whole number from %lld to %lld.", name,
                 (long long)lo, (long long)hi);
        reply_problem(r, 400, "bad_parameter", detail);
        return false;
    }
    *out = v;
    return true;
}

bool request_time(struct request *r, const char *name, int64_t def, int64_t *out)
{
    struct str text = request_query(r, name);
    *out = def;
    if (!text.n)
        return true;
    int64_t most = HISTORY_SPAN_MAX_US / 1000;
    if (!clock_parse(text, out) && *out > -most && *out < most)
        return true;
    reply_problem(r, 400, "bad_parameter",
                  "from and to are RFC 3339 times or milliseconds since 1970, at most a thousand "
                  "years from then.");
    return false;
}

bool request_page(struct request *r, struct q_page *out)
{
    int64_t limit;
    if (!request_number(r, "limit", 100, 1, 1000, &limit))
        return false;
    *out = (struct q_page){.limit = (uint32_t)limit, .cursor = request_query(r, "cursor")};
    if (out->cursor.n > 512) {
        reply_list_err(r, ERR_INVALID, NULL);
        return false;
    }
    if (!out->cursor.n)
        out->cursor.p = NULL;
    return true;
}

struct str cookie_find(struct str header, const char *name)
{
    while (header.p) {
        struct str value = trim(str_cut(&header, ';'));
        struct str key = str_cut(&value, '=');
        if (str_is(key, name) && value.p)
            return value;
    }
    return (struct str){0};
}

struct str request_cookie(const struct request *r, const char *name)
{
    return cookie_find(request_header(r, "Cookie"), name);
}

bool origin_matches(struct str origin, struct str host)
{
    struct str rest = origin;
    if (str_starts(origin, "https://"))
        rest = str_make(origin.p + 8, origin.n - 8);
    else if (str_starts(origin, "http://"))
        rest = str_make(origin.p + 7, origin.n - 7);
    else
        return false;
    return host.n && rest.n == host.n && !strncasecmp(rest.p, host.p, host.n);
}

bool request_same_origin(const struct request *r)
{
    struct str origin = request_header(r, "Origin");
    if (!origin.p)
        return true;
    if (origin_matches(origin, request_header(r, "Host")))
        return true;
    return address_trusted(r->http->config->http_trusted_proxies, r->info->remote_addr) &&
           origin_matches(origin, request_header(r, "X-Forwarded-Host"));
}

struct str request_if_match(const struct request *r)
{
    struct str s = request_header(r, "If-Match");
    if (!s.n || str_is(s, "*"))
        return (struct str){0};
    if (s.n >= 2 && s.p[0] == '"' && s.p[s.n - 1] == '"')
        return str_make(s.p + 1, s.n - 2);
    return s; /* no version of ours: never equal */
}

static bool too_large(struct request *r)
{
    if (r->info->content_length > DRAIN_MAX)
        mg_disable_connection_keep_alive(r->conn);
    reply_problem(r, 413, "too_large", "The body may have at most 1 MiB.");
    return false;
}

bool request_text(struct request *r, struct str *out)
{
    if (r->info->content_length > (long long)HTTP_BODY_MAX)
        return too_large(r);
    size_t cap = r->info->content_length > 0 ? (size_t)r->info->content_length + 1 : 4096;
    size_t n = 0;
    char *p = arena_alloc(&r->arena, cap);
    while (p) {
        int got = mg_read(r->conn, p + n, cap - n);
        if (got <= 0)
            break;
        n += (size_t)got;
        if (n > HTTP_BODY_MAX)
            return too_large(r);
        if (n == cap)
            p = arena_grow(&r->arena, p, &cap, n + 1, 1);
    }
    if (!p) {
        reply_unavailable(r, "busy", "The server has no memory for this body.");
        return false;
    }
    if (r->info->content_length > 0 && n < (size_t)r->info->content_length) {
        reply_problem(r, 400, "incomplete", "The body ended before its announced length.");
        return false;
    }
    *out = str_make(p, n);
    return true;
}

static const struct {
    enum err e;
    const char *code, *detail;
} json_errors[] = {
    {ERR_UTF8, "invalid_utf8", "The body is not valid UTF-8."},
    {ERR_DEPTH, "too_deep", "The body is nested deeper than 32 levels."},
    {ERR_TOOBIG, "too_many_values", "The body has more values than a request may have."},
    {ERR_CONFLICT, "duplicate_key", "The body has two members of the same name."},
    {ERR_TRUNCATED, "malformed_json", "The body ends in the middle of its JSON."},
};

bool request_json(struct request *r)
{
    struct str text;
    struct json_node *node = NULL;
    if (!request_text(r, &text))
        return false;
    enum err e = text.n ? json_parse(&r->arena, text, HTTP_JSON_NODES, &node) : ERR_INVALID;
    if (!e && node->kind == JSON_OBJECT) {
        r->body = node;
        r->text = text;
        return true;
    }
    const char *code = "malformed_json", *detail = "The body must be one JSON object.";
    for (size_t i = 0; e && i < sizeof json_errors / sizeof *json_errors; i++)
        if (json_errors[i].e == e) {
            code = json_errors[i].code;
            detail = json_errors[i].detail;
        }
    if (e == ERR_NOMEM)
        reply_unavailable(r, "busy", "The server has no memory for this body.");
    else
        reply_problem(r, 400, code, detail);
    return false;
}

bool request_member(struct request *r, const char *key, struct str *out)
{
    if (json_is_str(json_get(r->body, key), out) && str_utf8_valid(*out))
        return true;
    char detail[120];
    snprintf(detail, sizeof detail, "The body needs a text member \"%s\".", key);
    reply_problem(r, 400, "missing_member", detail);
    return false;
}

struct pg *request_db(struct request *r)
{
    if (r->db)
        return r->db;
    enum err e = pool_get(r->http->parts.pool, HTTP_DB_MS, &r->db);
    if (!e)
        return r->db;
    r->db = NULL;
    reply_err(r, e, "request");
    return NULL;
}

void request_db_end(struct request *r)
{
    if (r->db)
        pool_put(r->http->parts.pool, r->db);
    r->db = NULL;
}

bool request_endpoint(struct request *r)
{
    struct str ep = r->params[0];
    if (ep.n <= HTTP_ENDPOINT_MAX && str_utf8_valid(ep))
        return true;
    reply_problem(r, 404, "not_found", "There is no such device.");
    return false;
}

bool request_device(struct request *r)
{
    int64_t id;
    bool sleeping;
    if (!request_endpoint(r))
        return false;
    enum err e =
        engine_device_id(r->http->parts.engine, r->params[0], HTTP_ENGINE_MS, &id, &sleeping);
    if (e)
        reply_err(r, e, "device");
    return !e;
}
