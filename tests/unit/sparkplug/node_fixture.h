/* node_fixture.h - a node with a sink that writes down every effect as one line of text.
 *
 * A test says something to the node and then what must have come out, exactly and in order:
 *
 *   say(f, G_E("NDATA"), 1, real("Temp", 22.5));
 *   heard(f, "sample Temp = 22.5 good at 1000\n");
 *
 * Times in the lines are ms since T0.  The whole structure is checked after every step. */
#ifndef BRAID_TESTS_NODE_FIXTURE_H
#define BRAID_TESTS_NODE_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "sparkplug/node.h"
#include "node_check.h"

#include <stdio.h>

#define T0     ((int64_t)1700000000000)
#define NO_SEQ (-1)
#define G_E(k) "spBv1.0/G/" k "/E"
#define G_D(k) "spBv1.0/G/" k "/E/D"

/* What is known of one metric; see tag(). */
struct seen {
    const struct spb_cell *cell;
    bool announced;
    uint8_t datatype, quality;
    struct str unit;
    int64_t time_ms;
    struct spb_value value;
};

struct fx {
    struct spb_node *n;
    struct spb_shapes *shapes;
    struct seen seen[2];
    unsigned n_seen;
    struct arena scratch;
    struct moment now;
    struct buf log;
    struct buf published; /* payload of the newest command */
    bool may_not_ask;
};

/* ---- what the node says ---- */

static const char *const event_words[] = {
    [SPB_EV_NODE_BORN] = "node-born",
    [SPB_EV_NODE_RESUMED] = "node-resumed",
    [SPB_EV_NODE_DEAD] = "node-dead",
    [SPB_EV_NODE_STALE] = "node-stale",
    [SPB_EV_DEVICE_BORN] = "device-born",
    [SPB_EV_DEVICE_DEAD] = "device-dead",
    [SPB_EV_REBIRTH_ASKED] = "rebirth",
    [SPB_EV_OLD_DEATH] = "old-death",
    [SPB_EV_GAP] = "gap",
    [SPB_EV_NONCONFORMANT] = "nonconformant",
    [SPB_EV_GAP_HEALED] = "healed",
    [SPB_EV_LOST] = "lost",
};

static void on_publish(void *ctx, struct str topic, struct str payload)
{
    struct fx *f = ctx;
    buf_printf(&f->log, "publish %.*s\n", STR_ARG(topic));
    buf_reset(&f->published);
    buf_str(&f->published, payload);
}

static void on_samples(void *ctx, const struct spb_sample *v, size_t n, struct moment now)
{
    struct fx *f = ctx;
    (void)now;
    for (size_t i = 0; i < n; i++) {
        struct json_out j;
        buf_puts(&f->log, "sample ");
        if (v[i].tag.of)
            buf_printf(&f->log, "%.*s:", STR_ARG(v[i].tag.of->name));
        buf_printf(&f->log, "%.*s = ", STR_ARG(v[i].tag.what->name));
        json_out_init(&j, &f->log);
        spb_value_json(&j, &v[i].value);
        buf_printf(&f->log, " %s at %lld%s%s\n", spb_quality_word(v[i].quality),
                   (long long)(v[i].time_ms - T0), v[i].historical ? " historical" : "",
                   v[i].transient ? " transient" : "");
    }
}

static void on_event(void *ctx, enum spb_node_event ev, struct str device, const char *words,
                     struct moment now)
{
    struct fx *f = ctx;
    (void)now;
    assert_true(str_utf8_valid(str_of(words)));
    buf_printf(&f->log, "%s", event_words[ev]);
    if (device.p)
        buf_printf(&f->log, " %.*s", STR_ARG(device));
    buf_printf(&f->log, ": %s\n", words);
}

static void on_stale(void *ctx, struct str device, struct moment now)
{
    struct fx *f = ctx;
    (void)now;
    buf_printf(&f->log, "stale %.*s\n", device.p ? (int)device.n : 3, device.p ? device.p : "all");
}

static void on_anomaly(void *ctx, enum err e, const char *words, struct moment now)
{
    struct fx *f = ctx;
    (void)now;
    assert_true(str_utf8_valid(str_of(words)));
    buf_printf(&f->log, "anomaly %s: %s\n", err_word(e), words);
}

static bool on_may_ask(void *ctx)
{
    const struct fx *f = ctx;
    return !f->may_not_ask;
}

static const struct spb_node_sink fx_sink = {.publish = on_publish,
                                             .samples = on_samples,
                                             .event = on_event,
                                             .stale = on_stale,
                                             .anomaly = on_anomaly,
                                             .may_ask = on_may_ask};

static struct fx *fx_new(const struct spb_node_options *o)
{
    struct fx *f = test_calloc(1, sizeof *f);
    f->shapes = spb_shapes_new(7);
    assert_non_null(f->shapes);
    f->n = spb_node_new(str_of("G"), str_of("E"), o, f->shapes, &fx_sink, f);
    assert_non_null(f->n);
    arena_init(&f->scratch, 65536, (size_t)32 << 20);
    buf_init(&f->log, 1 << 22);
    buf_init(&f->published, 1 << 20);
    f->now = (struct moment){.mono_ms = 1000000, .utc_ms = T0};
    return f;
}

static inline int set_up(void **state)
{
    const struct spb_node_options o = {.reorder_ms = 2000, .rebirth_interval_ms = 5000};
    *state = fx_new(&o);
    return 0;
}

static inline int set_up_strict(void **state)
{
    const struct spb_node_options o = {
        .reorder_ms = 2000, .rebirth_interval_ms = 5000, .strict = true};
    *state = fx_new(&o);
    return 0;
}

static int tear_down(void **state)
{
    struct fx *f = *state;
    check_node(f->n);
    spb_node_free(f->n);
    assert_int_equal(spb_shapes_count(f->shapes), 0); /* nobody needs one any more */
    spb_shapes_free(f->shapes);
    arena_fini(&f->scratch);
    buf_fini(&f->log);
    buf_fini(&f->published);
    test_free(f);
    return 0;
}

/* heard checks and forgets what came out since the last time. */
static inline void heard(struct fx *f, const char *lines)
{
    const char *text = f->log.n ? buf_text(&f->log) : "";
    assert_string_equal(text, lines);
    buf_reset(&f->log);
}

static void forget(struct fx *f)
{
    buf_reset(&f->log);
}

static inline void wait_ms(struct fx *f, uint32_t ms)
{
    f->now.mono_ms += ms;
    f->now.utc_ms += ms;
}

/* Waits and lets the node act if it asked to. */
static inline void pass(struct fx *f, uint32_t ms)
{
    wait_ms(f, ms);
    if (spb_node_deadline(f->n) <= f->now.mono_ms)
        spb_node_tick(f->n, f->now);
    check_node(f->n);
}

/* ---- what the node hears ---- */

static struct spb_out_metric typed(const char *name, unsigned datatype, unsigned cls)
{
    return (struct spb_out_metric){.name = str_of(name),
                                   .with_datatype = true,
                                   .value = {.datatype = (uint8_t)datatype, .cls = (uint8_t)cls}};
}

static struct spb_out_metric real(const char *name, double v)
{
    struct spb_out_metric m = typed(name, SPB_DOUBLE, SPB_V_FLOAT);
    m.value.f = v;
    return m;
}

static struct spb_out_metric integer(const char *name, int64_t v)
{
    struct spb_out_metric m = typed(name, SPB_INT64, SPB_V_INT);
    m.value.i = v;
    return m;
}

static struct spb_out_metric text(const char *name, const char *v)
{
    struct spb_out_metric m = typed(name, SPB_STRING, SPB_V_TEXT);
    m.value.s = str_of(v);
    return m;
}

static struct spb_out_metric boolean(const char *name, bool v)
{
    struct spb_out_metric m = typed(name, SPB_BOOLEAN, SPB_V_BOOL);
    m.value.b = v;
    return m;
}

static struct spb_out_metric with_alias(struct spb_out_metric m, uint64_t alias)
{
    m.has_alias = true;
    m.alias = alias;
    return m;
}

/* A metric as DATA carries it: alias alone, without name and datatype. */
static inline struct spb_out_metric only_alias(struct spb_out_metric m, uint64_t alias)
{
    m = with_alias(m, alias);
    m.name = str_make(NULL, 0);
    m.with_datatype = false;
    return m;
}

static inline struct spb_out_metric at(struct spb_out_metric m, int64_t ms)
{
    m.timestamp = (uint64_t)(T0 + ms);
    return m;
}

static void say_bytes(struct fx *f, const char *topic, struct str payload)
{
    struct spb_topic t;
    assert_int_equal(spb_topic_parse(str_of(topic), &t), ERR_OK);
    arena_reset(&f->scratch);
    spb_node_message(f->n, &t, payload, &f->scratch, f->now);
    check_node(f->n);
}

static void say_payload(struct fx *f, const char *topic, const struct spb_out *p)
{
    struct buf b;
    buf_init(&b, 1 << 21);
    assert_int_equal(spb_encode(p, &b), ERR_OK);
    say_bytes(f, topic, buf_view(&b));
    buf_fini(&b);
}

static void say_n(struct fx *f, const char *topic, int seq, const struct spb_out_metric *m,
                  size_t n)
{
    struct spb_out p = {.has_seq = seq >= 0, .seq = (uint8_t)seq, .metrics = m, .n = n};
    say_payload(f, topic, &p);
}

#define say(f, topic, seq, ...)                                                                    \
    say_n(f, topic, seq, (const struct spb_out_metric[]){__VA_ARGS__},                             \
          sizeof((const struct spb_out_metric[]){__VA_ARGS__}) / sizeof(struct spb_out_metric))
#define say_nothing(f, topic, seq) say_n(f, topic, seq, NULL, 0)

/* A birth as the specification wants it, and a device below; what they say is forgotten. */
static void born(struct fx *f, int seq)
{
    say(f, G_E("NBIRTH"), seq, integer("bdSeq", 3), boolean("Node Control/Rebirth", false),
        with_alias(real("Temp", 21.5), 1), text("Name", "pump"));
    forget(f);
}

static inline void born_with_device(struct fx *f)
{
    born(f, 0);
    say(f, G_D("DBIRTH"), 1, with_alias(integer("Count", 7), 2));
    forget(f);
}

static inline struct spb_node_info info(struct fx *f)
{
    struct spb_node_info i;
    spb_node_get_info(f->n, &i);
    return i;
}

/* Good until the next but one. */
static inline const struct seen *tag(struct fx *f, const char *device, const char *name)
{
    struct spb_tag t;
    struct seen *s = &f->seen[f->n_seen++ % 2];
    assert_true(spb_node_tag_find(f->n, str_of(device), str_of(name), &t));
    *s = (struct seen){.cell = t.cell,
                       .announced = t.announced,
                       .datatype = t.what->datatype,
                       .quality = t.cell->quality,
                       .unit = t.what->unit,
                       .time_ms = t.cell->time_ms,
                       .value = spb_cell_value(t.cell)};
    return s;
}

#define T(x) cmocka_unit_test_setup_teardown(x, set_up, tear_down)
#define S(x) cmocka_unit_test_setup_teardown(x, set_up_strict, tear_down)

#endif
