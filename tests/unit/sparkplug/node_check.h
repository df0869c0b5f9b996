/* node_check.h - walks a whole node and checks the invariants that sparkplug_int.h states. */
#ifndef BRAID_TESTS_NODE_CHECK_H
#define BRAID_TESTS_NODE_CHECK_H

#include "sparkplug/sparkplug_int.h"

#include <assert.h>

/* Places by name and by alias lead back to themselves; returns the room its texts take. */
static size_t check_scope(const struct spb_node *n, const struct scope *s)
{
    size_t text = 0;
    for (size_t i = 0; i < spb_shape_count(s->shape); i++) {
        const struct spb_what *w = &s->shape->v[i];
        const struct spb_cell *c = &s->cells[i];
        assert(spb_shape_name(s->shape, w->name) == i);
        assert(w->announced || !w->has_alias);
        assert(!w->has_alias || spb_shape_alias(s->shape, w->alias) == i);
        assert(w->datatype < SPB_DATATYPE_COUNT);
        assert(w->name.n && str_utf8_valid(w->name));
        if ((c->cls == SPB_V_TEXT || c->cls == SPB_V_BYTES || c->cls == SPB_V_JSON) && c->text) {
            assert(c->text->n <= c->text->cap);
            text += c->text->cap;
        }
        if (n->life != SPB_LIFE_BORN && n->life != SPB_LIFE_STALE)
            assert(c->quality == SPB_Q_STALE);
    }
    assert(!s->shape || s->shape->refs);
    return text;
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

static void check_node(const struct spb_node *n)
{
    size_t text = check_scope(n, &n->scope), tags = spb_shape_count(n->scope.shape);
    assert(!n->brood || n->brood->n == n->brood->names.n);
    for (size_t i = 0; i < spb_device_count(n); i++) {
        const struct device *d = spb_device_at(n, i);
        assert(spb_device_find(n, d->pub.name) == d);
        assert(d->pub.life != SPB_LIFE_BORN || n->life == SPB_LIFE_BORN);
        text += check_scope(n, &d->scope);
        tags += spb_shape_count(d->scope.shape);
        for (size_t k = 0; d->pub.life == SPB_LIFE_DEAD && k < spb_shape_count(d->scope.shape); k++)
            assert(d->scope.cells[k].quality == SPB_Q_STALE);
    }
    assert(tags == n->n_tags && tags <= SPB_MAX_TAGS);
    assert(text == n->text_bytes && text <= SPB_MAX_TEXT_BYTES);
    check_held(n);
}

#endif
