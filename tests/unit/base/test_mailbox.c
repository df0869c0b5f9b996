/* Mailboxes: order, bounds, back-pressure and the end. */
#include "base_test.h"

#include "base/clock.h"
#include "base/mailbox.h"
#include "base/thread.h"

struct note {
    struct mail mail;
    int sender, number;
};

static enum err put_one(struct mailbox *b, struct note *n)
{
    return mailbox_put(b, &n->mail, &n->mail, 1);
}

static void mail_comes_in_order_and_what_must_go_exceeds_the_limit(void **state)
{
    struct mailbox *b = mailbox_new(3);
    struct note n[5] = {{.number = 0}, {.number = 1}, {.number = 2}, {.number = 3}, {.number = 4}};
    bool closed = true;
    int expect = 0;
    (void)state;
    assert_non_null(b);
    for (int i = 0; i < 3; i++)
        assert_int_equal(put_one(b, &n[i]), ERR_OK);
    assert_int_equal(mailbox_force_put(b, &n[3].mail), ERR_OK);
    assert_int_equal(mailbox_depth(b), 4);
    for (struct mail *m = mailbox_take(b, UINT64_MAX, &closed); m; m = m->next)
        assert_int_equal(((struct note *)m)->number, expect++);
    assert_int_equal(expect, 4);
    assert_false(closed);
    assert_int_equal(mailbox_depth(b), 0);
    mailbox_free(b);
}

static void taking_ends_at_the_deadline(void **state)
{
    struct mailbox *b = mailbox_new(1);
    bool closed = true;
    (void)state;
    uint64_t until = clock_mono_ms() + 20;
    assert_null(mailbox_take(b, until, &closed));
    assert_false(closed);
    assert_true(clock_mono_ms() >= until);
    mailbox_free(b);
}

static void a_closed_box_gives_what_it_has_and_takes_nothing(void **state)
{
    struct mailbox *b = mailbox_new(2);
    struct note n[2] = {{.number = 1}, {.number = 2}};
    bool closed = false;
    (void)state;
    assert_int_equal(put_one(b, &n[0]), ERR_OK);
    mailbox_close(b);
    assert_int_equal(put_one(b, &n[1]), ERR_CLOSED);
    assert_int_equal(mailbox_force_put(b, &n[1].mail), ERR_CLOSED);
    assert_ptr_equal(mailbox_take(b, UINT64_MAX, &closed), &n[0].mail);
    assert_true(closed);
    assert_null(mailbox_take(b, UINT64_MAX, &closed));
    mailbox_free(b);
}

#define SENDERS 3
#define EACH    5000

struct sender {
    struct thread thread;
    struct mailbox *box;
    struct note notes[EACH];
    int id;
};

static void send_all(void *arg)
{
    struct sender *s = arg;
    for (int i = 0; i < EACH; i++) {
        s->notes[i] = (struct note){.sender = s->id, .number = i};
        if (put_one(s->box, &s->notes[i]))
            return;
    }
}

static void senders_wait_at_the_limit_and_lose_nothing(void **state)
{
    static struct sender senders[SENDERS];
    const int limit = 16;
    struct mailbox *b = mailbox_new(limit);
    int next[SENDERS] = {0}, total = 0;
    bool closed = false;
    (void)state;
    for (int i = 0; i < SENDERS; i++) {
        senders[i].box = b;
        senders[i].id = i;
        assert_int_equal(thread_start(&senders[i].thread, "sender", send_all, &senders[i]), ERR_OK);
    }
    while (total < SENDERS * EACH) {
        int before = total;
        for (struct mail *m = mailbox_take(b, clock_mono_ms() + 5000, &closed), *after; m;
             m = after, total++) {
            struct note *n = (struct note *)m;
            after = m->next;
            assert_int_equal(n->number, next[n->sender]++);
        }
        assert_in_range(total - before, 0, limit);
    }
    for (int i = 0; i < SENDERS; i++)
        thread_join(&senders[i].thread);
    mailbox_free(b);
}

static void a_chain_arrives_whole_and_counts_as_many(void **state)
{
    struct mailbox *b = mailbox_new(2);
    struct note notes[5];
    bool closed = false;
    (void)state;
    for (int i = 0; i < 5; i++)
        notes[i] = (struct note){.number = i};
    for (int i = 0; i < 3; i++)
        notes[i].mail.next = &notes[i + 1].mail;
    assert_int_equal(mailbox_put(b, &notes[0].mail, &notes[3].mail, 4), ERR_OK);
    assert_int_equal(mailbox_depth(b), 4);
    assert_int_equal(mailbox_force_put(b, &notes[4].mail), ERR_OK);
    struct mail *m = mailbox_take(b, 0, &closed);
    for (int i = 0; i < 5; i++, m = m->next)
        assert_int_equal(((struct note *)m)->number, i);
    assert_null(m);
    assert_int_equal(mailbox_depth(b), 0);
    mailbox_close(b);
    assert_int_equal(mailbox_put(b, &notes[0].mail, &notes[0].mail, 1), ERR_CLOSED);
    mailbox_free(b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(mail_comes_in_order_and_what_must_go_exceeds_the_limit),
        cmocka_unit_test(taking_ends_at_the_deadline),
        cmocka_unit_test(a_closed_box_gives_what_it_has_and_takes_nothing),
        cmocka_unit_test(senders_wait_at_the_limit_and_lose_nothing),
        cmocka_unit_test(a_chain_arrives_whole_and_counts_as_many),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
