/* http_int.h - what the files of this room share: the server, a request on its way, its answer. */
#ifndef BRAID_HTTP_HTTP_INT_H
#define BRAID_HTTP_HTTP_INT_H

#include "http/http.h"
#include "base/arena.h"
#include "base/json_out.h"
#include "codec/json_in.h"
#include "store/labels.h"
#include "store/queries.h"

#include <stdatomic.h>

#define HTTP_BODY_MAX     (1u << 20)
#define HTTP_ENDPOINT_MAX 128 /* what the engine admits */
#define HTTP_ANSWER_MAX   (256u << 20)
#define HTTP_JSON_NODES   20000
#define HTTP_MAX_PARAMS   2
#define HTTP_ENGINE_MS    5000 /* how long a request waits for the shards */
#define HTTP_DB_MS        3000 /* ... and for a pooled connection */
#define HTTP_COOKIE       "braid_session"
#define HTTP_SECRET_SIZE  32 /* bytes of a session or API token */
#define HTTP_HASH_TEXT    65 /* hex SHA-256 and NUL */

/* Who may; each role includes those before it.  X(enumerator, word) */
#define HTTP_ROLE_TABLE(X)                                                                         \
    X(ROLE_ANYONE, "anyone")                                                                       \
    X(ROLE_VIEWER, "viewer")                                                                       \
    X(ROLE_OPERATOR, "operator")                                                                   \
    X(ROLE_ENGINEER, "engineer")                                                                   \
    X(ROLE_ADMIN, "admin")

enum role {
#define X(id, word) id,
    HTTP_ROLE_TABLE(X)
#undef X
        ROLE_COUNT
};
const char *role_word(enum role r);
bool role_from(struct str word, enum role *out); /* not `anyone`: nobody has that role */

struct mg_connection;
struct mg_request_info;
struct mg_context;
struct auth;
struct login;
struct live_clients;

struct http {
    const struct config *config;
    struct metrics *metrics;
    struct http_parts parts; /* of http_serve */
    struct mg_context *mg;
    struct auth *auth;
    struct login *login;
    struct live_clients *live;
    struct buf models; /* GET /models never changes */
    char models_etag[32];
    _Atomic int port,
        metrics_port; /* as bound; metrics_port 0: off. Workers run before it is known */
    int static_dir;   /* descriptor, -1: no UI */
    size_t parked_max;
    atomic_size_t parked;
    atomic_size_t exports; /* streams under way: at most half of parked_max, and one */
    atomic_size_t active;  /* requests between their first line and their last byte */
    atomic_bool stopping;
    _Atomic(const char *) waiting; /* for what; NULL: engine, pool and models are there */
};

/* How a caller proved who they are. */
enum proof { PROOF_NONE, PROOF_COOKIE, PROOF_TOKEN };
struct identity {
    enum proof proof;
    enum role role;
    char name[65];
    char csrf[65];
    char hash[HTTP_HASH_TEXT]; /* of the session or token presented */
};

struct request;
typedef void http_handler(struct request *r);

struct route {
    const char *method, *pattern;
    enum role role;
    const char *action; /* what the audit log calls it; NULL: it changes nothing.  Where something
                         * changes, a session cookie alone is not enough */
    http_handler *handler;
};

struct request {
    struct http *http;
    struct mg_connection *conn;
    const struct mg_request_info *info;
    const struct route *route;
    struct arena arena; /* everything that dies with the request */
    struct str path;
    struct str params[HTTP_MAX_PARAMS]; /* what the {names} of the pattern matched, in order */
    struct identity who;
    char remote[48]; /* the client's address, behind a trusted proxy the one it names */
    bool secure;     /* the client speaks HTTPS */
    bool audited;    /* the handler wrote the audit row itself */
    bool head;
    struct pg *db;                /* on loan, see request_db */
    struct str text;              /* see request_json: the body as it came */
    const struct json_node *body; /* ... and read */
    /* the answer */
    int status;
    const char *type;
    enum { STREAM_NONE, STREAM_READY, STREAM_OPEN, STREAM_OVER } stream;
    struct buf headers; /* complete lines */
    struct buf out;     /* the body */
    struct json_out json;
};

/* ---- request.c: what came in ---- */
struct str request_header(const struct request *r, const char *name); /* .p NULL: not there */
/* request_query finds a decoded parameter; .p NULL: not there, or not UTF-8. */
struct str request_query(struct request *r, const char *name);
/* request_query_at: the i-th of several parameters of one name. */
struct str request_query_at(struct request *r, const char *name, size_t i);
/* request_number reads an integer parameter within lo..hi; false after answering 400. */
bool request_number(struct request *r, const char *name, int64_t def, int64_t lo, int64_t hi,
                    int64_t *out);
/* request_time reads an RFC 3339 time or milliseconds since 1970; false after answering 400. */
bool request_time(struct request *r, const char *name, int64_t def, int64_t *out);
/* request_page reads limit and cursor; false after answering. */
bool request_page(struct request *r, struct q_page *out);
struct str request_cookie(const struct request *r, const char *name);
/* request_text reads the whole body (at most HTTP_BODY_MAX); false after answering 413 or 400. */
bool request_text(struct request *r, struct str *out);
/* request_json reads the body as one JSON object into r->body; false after answering. */
bool request_json(struct request *r);
/* request_member reads a text member of the body; missing or of another type: answers 400. */
bool request_member(struct request *r, const char *key, struct str *out);
/* request_db lends a pooled connection for the rest of the request (or until request_db_end);
 * NULL after answering 503. */
struct pg *request_db(struct request *r);
void request_db_end(struct request *r);
/* request_endpoint checks the {endpoint} of the path; false after answering 404. */
bool request_endpoint(struct request *r);
/* request_device ... and asks the shards whether they know it; false after answering. */
bool request_device(struct request *r);
/* request_if_match reads the one version If-Match names; .p NULL: any will do. */
struct str request_if_match(const struct request *r);
/* request_same_origin: the Origin header is absent or names the host that was asked for. */
bool request_same_origin(const struct request *r);
void request_init(struct request *r, struct http *h, struct mg_connection *conn);
void request_fini(struct request *r);
/* The pure pieces, for tests. */
struct str query_find(struct arena *a, struct str query, const char *name, size_t skip);
struct str cookie_find(struct str header, const char *name);
bool origin_matches(struct str origin, struct str host);
bool address_trusted(const char *list, const char *address);

/* ---- reply.c: what goes out ---- */
/* reply_json starts an answer of `status`; write to the returned json_out. */
struct json_out *reply_json(struct request *r, int status);
void reply_empty(struct request *r, int status);
void reply_header(struct request *r, const char *name, const char *value);
void reply_cacheable(struct request *r, const char *etag, const char *cache_control);
/* reply_version adds the ETag of one version, as request_if_match reads it. */
void reply_version(struct request *r, const char *version);
/* reply_problem answers application/problem+json; `code` is the stable word. */
void reply_problem(struct request *r, int status, const char *code, const char *detail);
/* reply_problem_open: the same, left open for members of one's own; close with json_close. */
struct json_out *reply_problem_open(struct request *r, int status, const char *code,
                                    const char *detail);
/* reply_err turns an error of the engine or the store into an answer; `what` names the thing that
 * is missing or in the way ("device"). */
void reply_err(struct request *r, enum err e, const char *what);
/* reply_list_err: the same for a list, where ERR_INVALID is the cursor's; nothing for ERR_OK. */
void reply_list_err(struct request *r, enum err e, const char *what);
/* reply_unavailable: 503 with Retry-After. */
void reply_unavailable(struct request *r, const char *code, const char *detail);
const char *reply_reason(int status);
/* reply_send writes the whole answer in one piece (nothing if it was a stream). */
void reply_send(struct request *r);
/* Answers in chunks.  reply_stream_open prepares one; reply_stream sends what is in r->out, the
 * head before it at first, and empties it: false when the client is gone or asked for the head
 * only. reply_stream_end ends it; reply_stream_broken too, but so that the client sees that
 * something is missing, or with an ordinary problem if nothing was sent yet. */
void reply_stream_open(struct request *r, const char *type, const char *disposition);
bool reply_stream(struct request *r);
void reply_stream_end(struct request *r);
void reply_stream_broken(struct request *r, enum err e, const char *what);

/* ---- route.c ---- */
/* route_find matches; NULL with *allow filled ("GET, HEAD") when only the method is wrong, empty
 * when there is no such path. */
const struct route *route_find(struct str method, struct str path,
                               struct str params[HTTP_MAX_PARAMS], struct buf *allow);
size_t route_count(void);
const struct route *route_at(size_t i);

/* ---- auth.c ---- */
struct auth *auth_new(void);
void auth_free(struct auth *a);
/* auth_identify fills r->who from bearer token or cookie; `token` overrides the header (WebSocket
 * subprotocol).  false after answering 503; an unknown caller is PROOF_NONE. */
bool auth_identify(struct request *r, struct str token);
/* auth_holds: is a session or token that was good once still good?  Does not prolong the session;
 * true while the database is away.  For live views, on their own threads. */
bool auth_holds(struct http *h, const struct identity *who);
/* auth_allow: false after answering 401 or 403 (role, CSRF). */
bool auth_allow(struct request *r);
/* auth_forget_all: a role, password, session or token changed. */
void auth_forget_all(struct auth *a);
/* auth_password_ok: 8 to 256 bytes; otherwise answers 422. */
bool auth_password_ok(struct request *r, struct str password);
void auth_hash(struct str secret, char out[HTTP_HASH_TEXT]);

/* ---- audit.c ---- */
/* auth_audit records who did what; a failure is logged, not answered.  detail_json: what was old
 * and what is new, .p NULL for nothing to say. */
void auth_audit(struct request *r, const char *action, struct str target, struct str detail_json);
/* audit_change records a change made: old and new as JSON values, .p NULL for none. */
void audit_change(struct request *r, const char *action, struct str target, struct str old_json,
                  struct str new_json);
/* audit_refused records what was not done, and why, for callers audit_after does not know. */
void audit_refused(struct request *r, const char *action, struct str target, const char *code);
/* audit_after looks at an answered request: a changing one whose handler wrote nothing gets its
 * row here, with the problem's code as its result. */
void audit_after(struct request *r);

/* ---- res_session.c: what logins share ---- */
MUST_CHECK enum err login_new(struct login **out);
void login_free(struct login *l);

/* ---- fleet_filter.c ---- */
#define FILTER_TERMS_MAX 16
/* Which devices: live terms are answered by the shards, durable ones by SQL. */
struct fleet_filter {
    struct str search, status; /* .n 0: any */
    struct label_want want[FILTER_TERMS_MAX];
    size_t n_want;
};
/* filter_query reads search, status, tag and group of the query; filter_body the same members of a
 * JSON object (tag and group: a text or a list of texts).  false after answering. */
bool filter_query(struct request *r, struct fleet_filter *out);
bool filter_body(struct request *r, const struct json_node *o, struct fleet_filter *out);
/* filter_apply puts the filter's terms into `q`, the durable ones looked up; false after answering.
 */
bool filter_apply(struct request *r, const struct fleet_filter *f, struct fleet_query *q);
struct str filter_lower(struct arena *a, struct str s); /* ASCII, as the shards want it */

/* ---- static.c ---- */
int static_open(const char *dir); /* descriptor or -1 */
void static_serve(struct request *r);
bool static_path_ok(struct str path);
bool static_is_hashed(struct str name);

/* ---- server.c ---- */
bool server_on_metrics_port(const struct request *r); /* came in by the listener without login */

/* ---- ws.c ---- */
struct live_clients *live_clients_new(struct http *h, size_t limit);
void live_clients_free(struct live_clients *l);
/* ws_register hangs the WebSocket handlers into CivetWeb. */
void ws_register(struct http *h);
/* ws_admit decides on an upgrade request: true = let CivetWeb shake hands; false after answering.
 */
bool ws_admit(struct request *r);
/* ws_close_all ends every live client (they leave their worker threads by themselves). */
void ws_close_all(struct live_clients *l);

/* ---- res_*.c ---- */
http_handler res_session_login, res_session_get, res_session_logout;
http_handler res_fleet, res_devices, res_device, res_device_forget;
http_handler res_export, res_series, res_history, res_history_aligned, res_device_timeline,
    res_timeline;
http_handler res_command_post, res_device_commands, res_command, res_command_cancel, res_commands;
http_handler res_models, res_model, res_connect;
http_handler res_users, res_user_post, res_user_delete, res_user_password;
http_handler res_tokens, res_token_post, res_token_delete;
http_handler res_audit;
void res_waiting(struct request *r, const char *word); /* all there is before http_serve */
http_handler res_device_labels, res_device_labels_put, res_labels, res_labels_bulk, res_tags;
http_handler res_groups, res_group_post, res_group, res_group_rename, res_group_delete;
http_handler res_group_members;
http_handler res_device_add, res_credential_post, res_credentials, res_credential_delete;
http_handler res_credentials_ending, res_device_suspend, res_device_resume, res_device_retire;
http_handler res_unknown, res_unknown_accept, res_unknown_refuse;
http_handler res_storage, res_storage_devices, res_device_storage, res_device_storage_put;
http_handler res_storage_classes, res_storage_class, res_storage_class_put;
http_handler res_storage_class_delete, res_storage_rules, res_storage_rule_post;
http_handler res_storage_rule_put, res_storage_rule_delete;
http_handler res_healthz, res_readyz, res_metrics, res_openapi, res_live;

#endif
