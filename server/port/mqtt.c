/* mqtt.c - see mqtt.h.
 *
 * Each attempt to connect makes a fresh client object: libmosquitto would keep unacknowledged
 * messages of an old connection and send them before whatever our handler does first, but the first
 * thing a Sparkplug host says must be its birth.
 *
 * Locks.  `lock` guards the client object (`mosq`), the scratch buffer and the count of what waits;
 * it is taken before libmosquitto's own locks and never while one of those that publishing needs is
 * held.  Therefore the library's connect, publish and disconnect callbacks only note what happened
 * (on the session's own thread, in `noted`), and `deliver` tells the handler once the library has
 * returned.  The message callback does call the handler, because the message lives only that long;
 * libmosquitto holds nothing then that publishing would need.
 *
 * The loop polls the socket and an eventfd (publishers ring it: libmosquitto's own wake-up pair is
 * of no use outside its own loop) and drains several messages per wake-up, because libmosquitto
 * reads one packet per call and TLS may hold decrypted bytes that poll() does not see. */
#include "port/mqtt.h"

#include <errno.h>
#include <mosquitto.h>
#include <mqtt_protocol.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/thread.h"

#define WAITING_MAX_BYTES    ((size_t)64 << 20)
#define WAITING_MAX_MESSAGES 20000
#define BACKOFF_MIN_MS       200
#define BACKOFF_MAX_MS       5000
#define CONNACK_MS           10000
#define STABLE_MS            5000 /* a connection that lived this long resets the back-off */
#define DRAIN_MESSAGES       500
#define MISC_MS              1000
#define RECEIVE_MAX          500
#define TOPIC_MAX_BYTES      65535
#define PASSWORD_MAX_BYTES   4096

enum life { IDLE, CONNECTING, UP };

struct ack {
    int mid, reason;
};

/* What the library told during one call into it; read by `deliver` right after. */
struct noted {
    bool connack, session_present, closed;
    int code; /* of connack or closed */
    struct ack *acks;
    size_t n_acks, cap_acks;
};

struct mqtt {
    struct mqtt_options o; /* strings owned */
    struct mqtt_handler h;
    struct thread thread;
    int wake; /* eventfd */
    _Atomic bool stopping, up;
    _Atomic uint64_t flush_until; /* monotonic ms, set before `stopping` */

    /* the session's thread only */
    enum life life;
    uint64_t since_ms; /* of `life` */
    unsigned failures;
    struct noted noted;

    pthread_mutex_t lock;
    struct mosquitto *mosq; /* NULL between connections */
    struct buf topic;
    size_t waiting_bytes, waiting;
    uint32_t size_of[65536]; /* by message id: bytes + 1 of what waits */
};

void mqtt_lib_init(void)
{
    mosquitto_lib_init();
}

void mqtt_lib_fini(void)
{
    mosquitto_lib_cleanup();
}

/* ---- callbacks of the library: only note ---- */

static void on_connect(struct mosquitto *mosq, void *ctx, int code, int flags,
                       const mosquitto_property *props)
{
    struct mqtt *m = ctx;
    (void)mosq;
    (void)props;
    m->noted.connack = true;
    m->noted.code = code;
    m->noted.session_present = flags & 1;
}

static void on_disconnect(struct mosquitto *mosq, void *ctx, int code,
                          const mosquitto_property *props)
{
    struct mqtt *m = ctx;
    (void)mosq;
    (void)props;
    if (!m->noted.closed)
        m->noted.code = code;
    m->noted.closed = true;
}

static void on_publish(struct mosquitto *mosq, void *ctx, int mid, int reason,
                       const mosquitto_property *props)
{
    struct mqtt *m = ctx;
    struct noted *k = &m->noted;
    (void)mosq;
    (void)props;
    if (k->n_acks == k->cap_acks) {
        size_t cap = k->cap_acks ? 2 * k->cap_acks : 64;
        struct ack *v = reallocarray(k->acks, cap, sizeof *v);
        if (!v)
            return; /* the message counts as waiting until the next connection */
        k->acks = v;
        k->cap_acks = cap;
    }
    k->acks[k->n_acks++] = (struct ack){mid, reason};
}

static void on_subscribe(struct mosquitto *mosq, void *ctx, int mid, int n, const int *granted,
                         const mosquitto_property *props)
{
    const struct mqtt *m = ctx;
    (void)mosq;
    (void)mid;
    (void)props;
    for (int i = 0; i < n; i++)
        if (granted[i] >= 128)
            log_warn("mqtt.subscription_refused", KV("session", m->o.name), KI("code", granted[i]));
}

static void on_message(struct mosquitto *mosq, void *ctx, const struct mosquitto_message *msg,
                       const mosquitto_property *props)
{
    struct mqtt *m = ctx;
    (void)mosq;
    (void)props;
    const struct mqtt_message out = {
        .topic = str_of(msg->topic),
        .payload = str_make(msg->payload, (size_t)msg->payloadlen),
        .retained = msg->retain,
        .qos = (uint8_t)msg->qos,
    };
    if (m->h.message)
        m->h.message(m->h.ctx, m, &out);
}

/* ---- connecting ---- */

static enum err read_password(const char *path, char out[PASSWORD_MAX_BYTES])
{
    FILE *f = fopen(path, "re");
    if (!f) {
        log_error("mqtt.password_file", KV("path", path), KV("reason", strerror(errno)));
        return ERR_IO;
    }
    size_t n = fread(out, 1, PASSWORD_MAX_BYTES - 1, f);
    bool broken = ferror(f);
    fclose(f);
    while (n && (out[n - 1] == '\n' || out[n - 1] == '\r'))
        n--;
    out[n] = '\0';
    return broken ? ERR_IO : ERR_OK;
}

static const char *or_null(const char *s)
{
    return s && s[0] ? s : NULL;
}

static enum err set_credentials(const struct mqtt *m, struct mosquitto *q)
{
    char password[PASSWORD_MAX_BYTES];
    bool has_password = or_null(m->o.password_file);
    enum err e = has_password ? read_password(m->o.password_file, password) : ERR_OK;
    if (!e && or_null(m->o.username) &&
        mosquitto_username_pw_set(q, m->o.username, has_password ? password : NULL))
        e = ERR_NOMEM;
    if (has_password)
        OPENSSL_cleanse(password, sizeof password);
    if (e || !or_null(m->o.ca_file))
        return e;
    int rc = mosquitto_tls_set(q, m->o.ca_file, NULL, or_null(m->o.cert_file),
                               or_null(m->o.key_file), NULL);
    if (!rc)
        rc = mosquitto_tls_opts_set(q, SSL_VERIFY_PEER, NULL, NULL);
    if (rc)
        log_error("mqtt.tls_files", KV("session", m->o.name), KV("reason", mosquitto_strerror(rc)));
    return rc ? ERR_IO : ERR_OK;
}

static enum err set_will(struct mqtt *m, struct mosquitto *q)
{
    struct buf topic, payload;
    uint8_t qos = 0;
    bool retain = false;
    enum err e = ERR_OK;
    if (!m->h.will)
        return ERR_OK;
    buf_init(&topic, TOPIC_MAX_BYTES);
    buf_init(&payload, 65536);
    m->h.will(m->h.ctx, &topic, &payload, &qos, &retain);
    const char *name = buf_text(&topic);
    if (!name || payload.err)
        e = ERR_NOMEM;
    else if (topic.n &&
             mosquitto_will_set_v5(q, name, (int)payload.n, payload.p, qos, retain, NULL))
        e = ERR_INVALID;
    buf_fini(&topic);
    buf_fini(&payload);
    return e;
}

static enum err make_client(struct mqtt *m, struct mosquitto **out)
{
    struct mosquitto *q = mosquitto_new(m->o.client_id, m->o.clean_start, m);
    if (!q)
        return ERR_NOMEM;
    mosquitto_threaded_set(q, true);
    mosquitto_int_option(q, MOSQ_OPT_PROTOCOL_VERSION, MQTT_PROTOCOL_V5);
    mosquitto_int_option(q, MOSQ_OPT_TCP_NODELAY, 1);
    mosquitto_int_option(q, MOSQ_OPT_RECEIVE_MAXIMUM, RECEIVE_MAX);
    mosquitto_int_option(q, MOSQ_OPT_SEND_MAXIMUM, RECEIVE_MAX);
    mosquitto_connect_v5_callback_set(q, on_connect);
    mosquitto_disconnect_v5_callback_set(q, on_disconnect);
    mosquitto_publish_v5_callback_set(q, on_publish);
    mosquitto_subscribe_v5_callback_set(q, on_subscribe);
    mosquitto_message_v5_callback_set(q, on_message);
    enum err e = set_credentials(m, q);
    if (!e)
        e = set_will(m, q);
    if (e) {
        mosquitto_destroy(q);
        return e;
    }
    *out = q;
    return ERR_OK;
}

/* libmosquitto prepares OpenSSL inside the first TLS connect, guarded by a plain flag: two sessions
 * that connect first at the same moment would both do it, and one result would leak.  So the first
 * connect of the process is made alone. */
static struct {
    pthread_mutex_t lock;
    _Atomic bool done;
} tls_start = {.lock = PTHREAD_MUTEX_INITIALIZER};

static int first_alone(struct mqtt *m, struct mosquitto *q, const mosquitto_property *props)
{
    bool alone = m->o.ca_file[0] && !atomic_load(&tls_start.done);
    if (alone)
        pthread_mutex_lock(&tls_start.lock);
    int rc = mosquitto_connect_bind_v5(q, m->o.host, m->o.port, m->o.keepalive_s, NULL, props);
    if (alone) {
        if (!rc)
            atomic_store(&tls_start.done, true);
        pthread_mutex_unlock(&tls_start.lock);
    }
    return rc;
}

static int dial(struct mqtt *m, struct mosquitto *q)
{
    mosquitto_property *props = NULL;
    int rc = MOSQ_ERR_SUCCESS;
    if (!m->o.clean_start)
        rc = mosquitto_property_add_int32(&props, MQTT_PROP_SESSION_EXPIRY_INTERVAL,
                                          m->o.session_expiry_s);
    if (!rc)
        rc = first_alone(m, q, props);
    mosquitto_property_free_all(&props);
    return rc;
}

static void set_life(struct mqtt *m, enum life life)
{
    m->life = life;
    m->since_ms = clock_mono_ms();
    atomic_store(&m->up, life == UP);
}

/* hang_up forgets the client object and everything that waited in it. */
static void hang_up(struct mqtt *m)
{
    pthread_mutex_lock(&m->lock);
    struct mosquitto *q = m->mosq;
    m->mosq = NULL;
    m->waiting = m->waiting_bytes = 0;
    memset(m->size_of, 0, sizeof m->size_of);
    pthread_mutex_unlock(&m->lock);
    if (q)
        mosquitto_destroy(q);
    m->noted.connack = m->noted.closed = false;
    m->noted.n_acks = 0;
}

/* lose ends the connection (or the attempt), tells the handler, and counts towards the back-off. */
static void lose(struct mqtt *m, const char *why)
{
    enum life was = m->life;
    if (was == IDLE)
        return;
    bool stable = was == UP && clock_mono_ms() - m->since_ms >= STABLE_MS;
    m->failures = stable ? 0 : m->failures + 1;
    set_life(m, IDLE);
    hang_up(m);
    log_warn(was == UP ? "mqtt.disconnected" : "mqtt.connect_failed", KV("session", m->o.name),
             KV("reason", why));
    if (was == UP && m->h.disconnected)
        m->h.disconnected(m->h.ctx, m, why);
}

static void connect_now(struct mqtt *m)
{
    struct mosquitto *q = NULL;
    m->noted = (struct noted){.acks = m->noted.acks, .cap_acks = m->noted.cap_acks};
    set_life(m, CONNECTING);
    enum err e = make_client(m, &q);
    if (e) {
        lose(m, err_word(e));
        return;
    }
    int rc = dial(m, q);
    int cause = errno;
    pthread_mutex_lock(&m->lock);
    m->mosq = q;
    pthread_mutex_unlock(&m->lock);
    if (rc)
        lose(m, rc == MOSQ_ERR_ERRNO ? strerror(cause) : mosquitto_strerror(rc));
}

/* ---- what the library noted goes to the handler ---- */

static void settle_acks(struct mqtt *m)
{
    struct noted *k = &m->noted;
    pthread_mutex_lock(&m->lock);
    for (size_t i = 0; i < k->n_acks; i++) {
        uint32_t *size = &m->size_of[(uint16_t)k->acks[i].mid];
        if (*size) {
            m->waiting_bytes -= *size - 1;
            m->waiting--;
            *size = 0;
        }
    }
    pthread_mutex_unlock(&m->lock);
    for (size_t i = 0; i < k->n_acks && m->h.acked; i++)
        m->h.acked(m->h.ctx, m, k->acks[i].mid, k->acks[i].reason);
    k->n_acks = 0;
}

static void deliver(struct mqtt *m)
{
    struct noted *k = &m->noted;
    if (k->n_acks)
        settle_acks(m);
    if (k->connack) {
        k->connack = false;
        if (k->code) {
            lose(m, mosquitto_reason_string(k->code));
            return;
        }
        set_life(m, UP);
        log_info("mqtt.connected", KV("session", m->o.name), KV("host", m->o.host),
                 KI("port", m->o.port), KI("session_present", k->session_present));
        if (m->h.connected)
            m->h.connected(m->h.ctx, m, k->session_present);
    }
    if (k->closed)
        lose(m, k->code > 127 ? mosquitto_reason_string(k->code)
                              : mosquitto_strerror(k->code ? k->code : MOSQ_ERR_CONN_LOST));
}

/* after_call handles what a call into the library returned; false: the connection is gone. */
static bool after_call(struct mqtt *m, int rc)
{
    int cause = errno;
    deliver(m);
    if (rc && m->life != IDLE)
        lose(m, rc == MOSQ_ERR_ERRNO ? strerror(cause) : mosquitto_strerror(rc));
    return m->life != IDLE;
}

/* ---- the loop ---- */

static bool more_to_read(struct mqtt *m)
{
    int bytes = 0;
    const SSL *ssl = mosquitto_ssl_get(m->mosq);
    if (ssl && SSL_pending(ssl) > 0)
        return true;
    return ioctl(mosquitto_socket(m->mosq), FIONREAD, &bytes) == 0 && bytes > 0;
}

static bool read_some(struct mqtt *m)
{
    for (int i = 0; i < DRAIN_MESSAGES; i++) {
        if (!after_call(m, mosquitto_loop_read(m->mosq, 1)))
            return false;
        if (!more_to_read(m))
            break;
    }
    return true;
}

static void clear_wake(const struct mqtt *m)
{
    uint64_t n;
    while (read(m->wake, &n, sizeof n) == (ssize_t)sizeof n)
        ;
}

static void turn(struct mqtt *m, uint64_t *next_misc)
{
    struct pollfd p[2] = {
        {.fd = mosquitto_socket(m->mosq), .events = POLLIN},
        {.fd = m->wake, .events = POLLIN},
    };
    if (mosquitto_want_write(m->mosq))
        p[0].events |= POLLOUT;
    uint64_t now = clock_mono_ms();
    int wait = now >= *next_misc ? 0 : (int)(*next_misc - now);
    const SSL *ssl = mosquitto_ssl_get(m->mosq);
    if (ssl && SSL_pending(ssl) > 0)
        wait = 0;
    if (poll(p, 2, wait) < 0)
        p[0].revents = p[1].revents = 0;
    if (p[1].revents)
        clear_wake(m);
    bool readable = p[0].revents & (POLLIN | POLLERR | POLLHUP);
    if ((readable || (ssl && SSL_pending(ssl) > 0)) && !read_some(m))
        return;
    if (mosquitto_want_write(m->mosq) && !after_call(m, mosquitto_loop_write(m->mosq, 1)))
        return;
    now = clock_mono_ms();
    if (now >= *next_misc) {
        *next_misc = now + MISC_MS;
        if (!after_call(m, mosquitto_loop_misc(m->mosq)))
            return;
    }
    if (m->life == CONNECTING && now - m->since_ms > CONNACK_MS)
        lose(m, "no CONNACK in time");
}

/* Half of the delay is fixed, half is chance, so that many clients do not return as one. */
static uint64_t backoff_ms(const struct mqtt *m)
{
    uint64_t delay = BACKOFF_MIN_MS;
    for (unsigned i = 1; i < m->failures && delay < BACKOFF_MAX_MS; i++)
        delay *= 2;
    if (delay > BACKOFF_MAX_MS)
        delay = BACKOFF_MAX_MS;
    uint64_t now = clock_mono_us();
    return delay / 2 + str_hash(str_make((const char *)&now, sizeof now), 0) % (delay / 2 + 1);
}

static void pause_before_dialling(struct mqtt *m)
{
    uint64_t until = clock_mono_ms() + (m->failures ? backoff_ms(m) : 0);
    for (uint64_t now; !atomic_load(&m->stopping) && (now = clock_mono_ms()) < until;) {
        struct pollfd p = {.fd = m->wake, .events = POLLIN};
        if (poll(&p, 1, (int)(until - now)) > 0)
            clear_wake(m);
    }
}

static size_t waiting_now(struct mqtt *m)
{
    pthread_mutex_lock(&m->lock);
    size_t n = m->waiting;
    pthread_mutex_unlock(&m->lock);
    return n;
}

/* say_goodbye flushes what waits, then sends DISCONNECT, so that the broker forgets the will. */
static void say_goodbye(struct mqtt *m)
{
    uint64_t next_misc = 0;
    uint64_t until = atomic_load(&m->flush_until);
    while (m->life == UP && waiting_now(m) && clock_mono_ms() < until) {
        next_misc = clock_mono_ms() + 20; /* look at the clock often */
        turn(m, &next_misc);
    }
    if (m->life != UP)
        return;
    int rc = mosquitto_disconnect_v5(m->mosq, 0, NULL);
    for (int i = 0; !rc && i < 100 && mosquitto_want_write(m->mosq); i++) {
        struct pollfd p = {.fd = mosquitto_socket(m->mosq), .events = POLLOUT};
        if (p.fd < 0 || poll(&p, 1, 10) < 0)
            break;
        rc = mosquitto_loop_write(m->mosq, 1);
    }
    log_info("mqtt.closed", KV("session", m->o.name));
}

static void run(void *arg)
{
    struct mqtt *m = arg;
    uint64_t next_misc = 0;
    while (!atomic_load(&m->stopping)) {
        if (m->life == IDLE) {
            pause_before_dialling(m);
            if (!atomic_load(&m->stopping))
                connect_now(m);
            next_misc = 0;
        } else {
            turn(m, &next_misc);
        }
    }
    say_goodbye(m);
    set_life(m, IDLE);
    hang_up(m);
}

/* ---- the other threads ---- */

/* All strings of the options, for copying and freeing them alike. */
#define N_STRINGS 9
static void strings_of(struct mqtt_options *o, const char **out[N_STRINGS])
{
    const char **all[N_STRINGS] = {&o->name,      &o->host,          &o->client_id,
                                   &o->username,  &o->password_file, &o->ca_file,
                                   &o->cert_file, &o->key_file,      NULL};
    memcpy(out, all, sizeof all);
}

static void destroy(struct mqtt *m)
{
    const char **strings[N_STRINGS];
    if (!m)
        return;
    strings_of(&m->o, strings);
    for (size_t i = 0; strings[i]; i++)
        free((char *)*strings[i]);
    if (m->wake >= 0)
        close(m->wake);
    free(m->noted.acks);
    buf_fini(&m->topic);
    pthread_mutex_destroy(&m->lock);
    free(m);
}

static enum err copy_options(struct mqtt *m, const struct mqtt_options *o)
{
    const char **strings[N_STRINGS];
    enum err e = ERR_OK;
    m->o = *o;
    strings_of(&m->o, strings);
    for (size_t i = 0; strings[i]; i++) {
        *strings[i] = strdup(*strings[i] ? *strings[i] : "");
        if (!*strings[i])
            e = ERR_NOMEM;
    }
    return e;
}

enum err mqtt_start(const struct mqtt_options *o, const struct mqtt_handler *h, struct mqtt **out)
{
    char name[16];
    struct mqtt *m = calloc(1, sizeof *m);
    if (!m)
        return ERR_NOMEM;
    pthread_mutex_init(&m->lock, NULL);
    buf_init(&m->topic, TOPIC_MAX_BYTES);
    m->h = *h;
    m->wake = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    enum err e = copy_options(m, o);
    if (!e && m->wake < 0)
        e = ERR_IO;
    snprintf(name, sizeof name, "mqtt-%s", o->name);
    if (!e)
        e = thread_start(&m->thread, name, run, m);
    if (e) {
        destroy(m);
        return e;
    }
    *out = m;
    return ERR_OK;
}

static void ring(const struct mqtt *m)
{
    const uint64_t one = 1;
    ssize_t done = write(m->wake, &one, sizeof one);
    (void)done; /* full means it rings already */
}

void mqtt_close(struct mqtt *m, uint32_t flush_ms)
{
    if (!m)
        return;
    atomic_store(&m->flush_until, clock_mono_ms() + flush_ms);
    atomic_store(&m->stopping, true);
    ring(m);
    thread_join(&m->thread);
}

void mqtt_free(struct mqtt *m)
{
    destroy(m);
}

void mqtt_stop(struct mqtt *m, uint32_t flush_ms)
{
    mqtt_close(m, flush_ms);
    mqtt_free(m);
}

static enum err from_rc(int rc)
{
    switch (rc) {
    case MOSQ_ERR_SUCCESS:
        return ERR_OK;
    case MOSQ_ERR_NOMEM:
        return ERR_NOMEM;
    case MOSQ_ERR_MALFORMED_UTF8:
        return ERR_UTF8;
    case MOSQ_ERR_PAYLOAD_SIZE:
    case MOSQ_ERR_OVERSIZE_PACKET:
        return ERR_TOOBIG;
    case MOSQ_ERR_INVAL:
    case MOSQ_ERR_QOS_NOT_SUPPORTED:
        return ERR_INVALID;
    default:
        return ERR_BROKER;
    }
}

enum err mqtt_subscribe(struct mqtt *m, const char *filter, uint8_t qos, bool no_local)
{
    int rc = MOSQ_ERR_NO_CONN;
    pthread_mutex_lock(&m->lock);
    if (m->mosq && atomic_load(&m->up))
        rc = mosquitto_subscribe_v5(m->mosq, NULL, filter, qos,
                                    no_local ? MQTT_SUB_OPT_NO_LOCAL : 0, NULL);
    pthread_mutex_unlock(&m->lock);
    ring(m);
    return from_rc(rc);
}

/* With the lock held and the connection up. */
static enum err publish_locked(struct mqtt *m, struct str topic, struct str payload, uint8_t qos,
                               bool retain, int *mid)
{
    int id = 0;
    buf_reset(&m->topic);
    buf_str(&m->topic, topic);
    const char *name = buf_text(&m->topic);
    if (!name || payload.n > MQTT_MAX_PAYLOAD)
        return ERR_TOOBIG;
    if (memchr(name, '\0', topic.n))
        return ERR_INVALID;
    int rc = mosquitto_publish_v5(m->mosq, &id, name, (int)payload.n, payload.p, qos, retain, NULL);
    if (rc)
        return from_rc(rc);
    m->size_of[(uint16_t)id] = (uint32_t)(topic.n + payload.n) + 1;
    m->waiting_bytes += topic.n + payload.n;
    m->waiting++;
    if (mid)
        *mid = id;
    return ERR_OK;
}

enum err mqtt_publish(struct mqtt *m, struct str topic, struct str payload, uint8_t qos,
                      bool retain, int *mid)
{
    enum err e;
    pthread_mutex_lock(&m->lock);
    if (!m->mosq || !atomic_load(&m->up))
        e = ERR_BROKER;
    else if (m->waiting >= WAITING_MAX_MESSAGES ||
             m->waiting_bytes + topic.n + payload.n > WAITING_MAX_BYTES)
        e = ERR_FULL;
    else
        e = publish_locked(m, topic, payload, qos, retain, mid);
    pthread_mutex_unlock(&m->lock);
    if (!e)
        ring(m);
    return e;
}

bool mqtt_is_up(const struct mqtt *m)
{
    return atomic_load(&m->up);
}
