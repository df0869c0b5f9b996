/* A node hears any sequence of messages and waits any times; its structure must stay whole.
 *
 * Input: records of KIND, WAIT, LENGTH (16 bits), payload.  To get anywhere at all the payloads'
 * seq may be corrected to the one that is expected (a bit of KIND decides). */
#include "../unit/sparkplug/node_check.h"

#include "base/reader.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void on_publish(void *ctx, struct str topic, struct str payload)
{
    (void)ctx;
    assert(topic.n && payload.n);
}

static void on_samples(void *ctx, const struct spb_sample *v, size_t n, struct moment now)
{
    (void)ctx;
    for (size_t i = 0; i < n; i++) {
        assert(v[i].tag.announced && v[i].tag.what->announced);
        assert(v[i].time_ms <= now.utc_ms + 600000);
    }
}

static void on_event(void *ctx, enum spb_node_event ev, struct str device, const char *words,
                     struct moment now)
{
    (void)ctx;
    (void)ev;
    (void)device;
    (void)now;
    assert(str_utf8_valid(str_of(words)));
}

static void on_stale(void *ctx, struct str device, struct moment now)
{
    (void)ctx;
    (void)device;
    (void)now;
}

static void on_anomaly(void *ctx, enum err e, const char *words, struct moment now)
{
    (void)ctx;
    (void)now;
    assert(e != ERR_OK && str_utf8_valid(str_of(words)));
}

/* Appends the expected seq: the last of several wins in protobuf. */
static struct str corrected(const struct spb_node *n, struct str payload, char *room, size_t size)
{
    if (payload.n + 3 > size)
        return payload;
    if (payload.n)
        memcpy(room, payload.p, payload.n);
    room[payload.n] = 0x18;
    size_t end = payload.n + 1;
    if (n->next_seq < 128) {
        room[end++] = (char)n->next_seq;
    } else {
        room[end++] = (char)n->next_seq;
        room[end++] = 1;
    }
    return str_make(room, end);
}

static void step(struct spb_node *n, struct reader *r, struct arena *scratch, struct moment *now)
{
    static const char *const devices[] = {NULL, "A", "B", "A"};
    uint8_t what = reader_u8(r), wait = reader_u8(r);
    uint16_t length = reader_u16be(r);
    struct str payload = reader_bytes(r, length < r->left ? length : r->left);
    char room[4096];
    struct spb_topic t = {.kind = (enum spb_kind)(what % SPB_KIND_COUNT)};
    t.group = str_of("G");
    t.node = str_of("E");
    now->mono_ms += (uint64_t)wait * wait;
    now->utc_ms += (int64_t)wait * wait;
    if (spb_node_deadline(n) <= now->mono_ms)
        spb_node_tick(n, *now);
    if (what == 255)
        spb_node_host_lost(n, *now);
    if (what == 254)
        spb_node_host_back(n, wait, *now);
    if (t.kind >= SPB_DBIRTH && t.kind <= SPB_DCMD)
        t.device = str_of(devices[(what >> 4) & 3]);
    t.is_short = t.kind >= SPB_DBIRTH && t.kind <= SPB_DCMD && !t.device.p;
    if (what & 0x80)
        payload = corrected(n, payload, room, sizeof room);
    arena_reset(scratch);
    spb_node_message(n, &t, payload, scratch, *now);
    check_node(n);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct spb_node_options o = {
        .reorder_ms = 2000, .rebirth_interval_ms = 5000, .strict = size && (data[0] & 1)};
    const struct spb_node_sink sink = {.publish = on_publish,
                                       .samples = on_samples,
                                       .event = on_event,
                                       .stale = on_stale,
                                       .anomaly = on_anomaly};
    struct moment now = {.mono_ms = 1000000, .utc_ms = 1700000000000};
    struct spb_shapes *shapes = spb_shapes_new(1);
    struct spb_node *n =
        shapes ? spb_node_new(str_of("G"), str_of("E"), &o, shapes, &sink, NULL) : NULL;
    struct arena scratch;
    struct reader r;
    arena_init(&scratch, 65536, (size_t)32 << 20);
    reader_init(&r, data, size);
    if (size)
        reader_u8(&r);
    while (n && r.left && !r.err) {
        step(n, &r, &scratch, &now);
        struct spb_tag_iter it = {0};
        struct spb_tag tag;
        for (size_t i = 0; i < 4 && spb_node_next_tag(n, &it, &tag); i++) {
            struct spb_value sent;
            struct str device = tag.of ? tag.of->name : str_make(NULL, 0);
            enum err e = spb_node_write(n, device, tag.what->name, str_of("12"), false, &scratch,
                                        now, &sent);
            (void)e;
        }
    }
    spb_node_free(n);
    assert(!shapes || !spb_shapes_count(shapes));
    spb_shapes_free(shapes);
    arena_fini(&scratch);
    return 0;
}
