/* device.c - a device with both strands in C: registers over LwM2M (JSON dialect), is born as a
 * Sparkplug edge node, sends a temperature once a second and answers reads of it.
 *
 *   cc -o device device.c -lmosquitto
 *   ./device HOST PORT NAME CA.pem CERTIFICATE.pem KEY.pem [SECONDS]
 */
#define _GNU_SOURCE /* memmem */
#include <mosquitto.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static const char *name;
static double temperature = 21.0;
static unsigned seq;

/* ---- a Sparkplug payload: protobuf fields, written by hand ---- */

struct bytes {
    unsigned char p[512];
    size_t n;
};

static void put_varint(struct bytes *b, uint64_t v)
{
    for (; v > 127; v >>= 7)
        b->p[b->n++] = (unsigned char)(v | 128);
    b->p[b->n++] = (unsigned char)v;
}

static void put_block(struct bytes *b, unsigned field, const void *p, size_t n)
{
    put_varint(b, field << 3 | 2);
    put_varint(b, n);
    memcpy(b->p + b->n, p, n);
    b->n += n;
}

static uint64_t now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

/* datatype: 8 UInt64, 10 Double, 11 Boolean */
static void put_metric(struct bytes *b, const char *metric, unsigned datatype, double value)
{
    struct bytes m = {.n = 0};
    put_block(&m, 1, metric, strlen(metric));
    put_varint(&m, 3 << 3);
    put_varint(&m, now_ms());
    put_varint(&m, 4 << 3);
    put_varint(&m, datatype);
    if (datatype == 10) {
        put_varint(&m, 13 << 3 | 1);
        memcpy(m.p + m.n, &value, 8);
        m.n += 8;
    } else {
        put_varint(&m, (datatype == 8 ? 11 : 14) << 3);
        put_varint(&m, (uint64_t)value);
    }
    put_block(b, 2, m.p, m.n);
}

static void begin(struct bytes *b)
{
    b->n = 0;
    put_varint(b, 1 << 3);
    put_varint(b, now_ms());
}

static void send_spb(struct mosquitto *m, const char *kind, struct bytes *b)
{
    char topic[160];
    put_varint(b, 3 << 3);
    put_varint(b, seq++ % 256);
    snprintf(topic, sizeof topic, "spBv1.0/examples/%s/%s", kind, name);
    mosquitto_publish(m, NULL, topic, (int)b->n, b->p, 0, false);
}

static void send_birth(struct mosquitto *m)
{
    struct bytes b;
    seq = 0;
    begin(&b);
    put_metric(&b, "bdSeq", 8, 0);
    put_metric(&b, "Node Control/Rebirth", 11, 0);
    put_metric(&b, "Temperature", 10, temperature);
    send_spb(m, "NBIRTH", &b);
}

/* ---- LwM2M ---- */

static void send_lwm2m(struct mosquitto *m, const char *word, const char *json)
{
    char topic[160];
    snprintf(topic, sizeof topic, "lwm2m/%s/%s", name, word);
    mosquitto_publish(m, NULL, topic, (int)strlen(json), json, 1, false);
}

static void on_connect(struct mosquitto *m, void *ctx, int code)
{
    char topic[160], json[300];
    (void)ctx;
    if (code)
        return;
    snprintf(topic, sizeof topic, "lwm2m/%s/cmd/#", name);
    mosquitto_subscribe(m, NULL, topic, 1);
    snprintf(topic, sizeof topic, "spBv1.0/+/NCMD/%s", name);
    mosquitto_subscribe(m, NULL, topic, 1);
    snprintf(json, sizeof json,
             "{\"lifetime\":300,\"version\":\"1.2\",\"objects\":{\"3\":{\"0\":{\"0\":\"Braid "
             "examples\",\"1\":\"device.c\"}},\"3303\":{\"0\":{\"5700\":%.2f}}}}",
             temperature);
    send_lwm2m(m, "reg", json);
    send_birth(m);
}

static void on_message(struct mosquitto *m, void *ctx, const struct mosquitto_message *msg)
{
    char word[64], json[200];
    const char *token = strrchr(msg->topic, '/') + 1;
    (void)ctx;
    if (strstr(msg->topic, "/NCMD/")) {
        send_birth(m);
        return;
    }
    if (memmem(msg->payload, (size_t)msg->payloadlen, "\"read\"", 6) &&
        memmem(msg->payload, (size_t)msg->payloadlen, "/3303/0/5700", 12))
        snprintf(json, sizeof json,
                 "{\"code\":\"2.05\",\"values\":[{\"path\":\"/3303/0/5700\",\"value\":%.2f}]}",
                 temperature);
    else
        snprintf(json, sizeof json, "{\"code\":\"4.05\"}");
    snprintf(word, sizeof word, "resp/%.32s", token);
    send_lwm2m(m, word, json);
}

int main(int argc, char **argv)
{
    struct bytes death, data;
    char topic[160];
    if (argc < 7) {
        fprintf(stderr, "device HOST PORT NAME CA.pem CERTIFICATE.pem KEY.pem [SECONDS]\n");
        return 2;
    }
    name = argv[3];
    mosquitto_lib_init();
    struct mosquitto *m = mosquitto_new(name, true, NULL);
    begin(&death);
    put_metric(&death, "bdSeq", 8, 0);
    snprintf(topic, sizeof topic, "spBv1.0/examples/NDEATH/%s", name);
    if (!m || mosquitto_will_set(m, topic, (int)death.n, death.p, 1, false) ||
        mosquitto_tls_set(m, argv[4], NULL, argv[5], argv[6], NULL))
        return 1;
    mosquitto_connect_callback_set(m, on_connect);
    mosquitto_message_callback_set(m, on_message);
    int rc = mosquitto_connect(m, argv[1], (int)strtol(argv[2], NULL, 10), 30);
    if (rc) {
        fprintf(stderr, "device: %s\n", mosquitto_strerror(rc));
        return 1;
    }
    mosquitto_loop_start(m);
    for (long left = argc > 7 ? strtol(argv[7], NULL, 10) : -1; left; left--) {
        sleep(1);
        temperature += (double)(random() % 41 - 20) / 100;
        begin(&data);
        put_metric(&data, "Temperature", 10, temperature);
        send_spb(m, "NDATA", &data);
    }
    mosquitto_publish(m, NULL, topic, (int)death.n, death.p, 1, false);
    send_lwm2m(m, "dereg", "{}");
    sleep(1);
    mosquitto_disconnect(m);
    mosquitto_loop_stop(m, false);
    mosquitto_destroy(m);
    mosquitto_lib_cleanup();
    return 0;
}
