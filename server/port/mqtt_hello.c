/* mqtt_hello.c - see mqtt_hello.h.  The password is read anew each time and leaves no trace. */
#include "port/mqtt_hello.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "codec/mqtt_packet.h"

#define TOPIC_MAX_BYTES    65535
#define WILL_MAX_BYTES     65535
#define PASSWORD_MAX_BYTES 4096

/* All strings of the options, for copying and freeing them alike. */
#define N_STRINGS 9
static void strings_of(struct mqtt_options *o, const char **out[N_STRINGS])
{
    const char **all[N_STRINGS] = {&o->name,      &o->host,          &o->client_id,
                                   &o->username,  &o->password_file, &o->ca_file,
                                   &o->cert_file, &o->key_file,      NULL};
    memcpy(out, all, sizeof all);
}

enum err mqtt_options_copy(const struct mqtt_options *from, struct mqtt_options *to)
{
    const char **strings[N_STRINGS];
    enum err e = ERR_OK;
    *to = *from;
    strings_of(to, strings);
    for (size_t i = 0; strings[i]; i++) {
        *strings[i] = strdup(*strings[i] ? *strings[i] : "");
        if (!*strings[i])
            e = ERR_NOMEM;
    }
    return e;
}

void mqtt_options_fini(struct mqtt_options *o)
{
    const char **strings[N_STRINGS];
    strings_of(o, strings);
    for (size_t i = 0; strings[i]; i++)
        free((char *)*strings[i]);
}

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

static struct str or_none(const char *s)
{
    return s && s[0] ? str_of(s) : str_make(NULL, 0);
}

enum err mqtt_hello(const struct mqtt_options *o, const struct mqtt_handler *h, struct buf *to)
{
    char password[PASSWORD_MAX_BYTES];
    struct buf topic, payload;
    struct mqtt_connect c = {.level = MQTT_5,
                             .client_id = str_of(o->client_id),
                             .username = or_none(o->username),
                             .keep_alive_s = (uint16_t)o->keepalive_s,
                             .receive_max = MQTT_RECEIVE_MAX,
                             .packet_max = MQTT_PACKET_MAX,
                             .clean = o->clean_start,
                             .session_expiry_s = o->clean_start ? 0 : o->session_expiry_s};
    enum err e = ERR_OK;
    bool has_password = c.username.p && or_none(o->password_file).p;
    if (has_password)
        e = read_password(o->password_file, password);
    if (has_password && !e)
        c.password = str_of(password);
    buf_init(&topic, TOPIC_MAX_BYTES);
    buf_init(&payload, WILL_MAX_BYTES);
    if (h->will)
        h->will(h->ctx, &topic, &payload, &c.will_qos, &c.will_retain);
    c.will_topic = buf_view(&topic);
    c.will_payload = buf_view(&payload);
    if (!e)
        e = topic.err ? topic.err : payload.err;
    if (!e && topic.n)
        e = mqtt_topic_ok(c.will_topic);
    if (!e) {
        mqtt_put_connect(to, &c);
        e = to->err;
    }
    buf_fini(&topic);
    buf_fini(&payload);
    if (has_password)
        OPENSSL_cleanse(password, sizeof password);
    return e;
}
