/* node_check.h - walks a whole node and checks the invariants that sparkplug_int.h states. */
#ifndef BRAID_TESTS_NODE_CHECK_H
#define BRAID_TESTS_NODE_CHECK_H

#include "sparkplug/sparkplug_int.h"

#include <assert.h>

static void check_scope(const struct scope *s, const struct device *d)
{
    size_t it = 0;
    struct tag *tag;
    while ((tag = map_next(&s->by_alias, &it))) {
        assert(tag->device == d);
        assert(tag->pub.announced && tag->has_alias);
        assert(map_find_u64(&s->by_alias, tag->alias) == tag);
    }
    it = 0;
    while ((tag = map_next(&s->by_name, &it))) {
        assert(tag->device == d);
        assert(map_find(&s->by_name, tag->pub.name) == tag);
        assert(!tag->has_alias || map_find_u64(&s->by_alias, tag->alias) == tag);
    }
}

static void check_held(const struct spb_node *n)
{
    size_t count = 0, bytes = 0;
    int last = 0; /* distance 0 would be next: handled, not held */
    for (const struct held *h = n->held; h; h = h->next) {
        int distance = (uint8_t)(h->seq - n->next_seq);
        assert(distance > last);
        last = distance;
        count++;
        bytes += h->payload.n;
    }
    assert(count == n->n_held && bytes == n->held_bytes);
    assert(count <= SPB_MAX_HELD && bytes <= SPB_MAX_HELD_BYTES);
    assert((n->held != NULL) == (n->gap_deadline != UINT64_MAX));
    assert(!n->held || n->life == SPB_LIFE_BORN);
}

static void check_tag(const struct spb_node *n, const struct tag *tag)
{
    const struct spb_value *v = &tag->pub.value;
    assert(tag->pub.datatype < SPB_DATATYPE_COUNT);
    assert(tag->pub.name.p == tag->name && tag->pub.name.n);
    assert(tag->pub.device.p == (tag->device ? tag->device->pub.name.p : NULL));
    assert(str_utf8_valid(tag->pub.name));
    if ((v->cls == SPB_V_TEXT || v->cls == SPB_V_BYTES || v->cls == SPB_V_JSON) && v->s.n)
        assert(v->s.p == tag->text && v->s.n <= tag->text_cap);
    if (n->life != SPB_LIFE_BORN && n->life != SPB_LIFE_STALE)
        assert(tag->pub.quality == SPB_Q_STALE);
    if (tag->device && tag->device->pub.life == SPB_LIFE_DEAD)
        assert(tag->pub.quality == SPB_Q_STALE);
}

static void check_node(const struct spb_node *n)
{
    size_t text = 0;
    assert(n->n_devices == n->device_names.n);
    check_scope(&n->scope, NULL);
    for (size_t i = 0; i < n->n_devices; i++) {
        const struct device *d = n->devices[i];
        assert(spb_device_find(n, d->pub.name) == d);
        assert(d->pub.life != SPB_LIFE_BORN || n->life == SPB_LIFE_BORN);
        check_scope(&d->scope, d);
    }
    for (size_t i = 0; i < n->n_tags; i++) {
        check_tag(n, n->tags[i]);
        text += n->tags[i]->text_cap;
    }
    assert(text == n->text_bytes && text <= SPB_MAX_TEXT_BYTES);
    check_held(n);
}

#endif
