/* The table of sessions: nothing lost, nothing kept, and no slower with ten thousand of them. */
#include "unit.h"

#include <sessions.h>
#include <stdlib.h>

#define MANY 10000
static char handles[MANY * 16]; /* addresses as an allocator gives them */

static const void *handle(int i)
{
    return &handles[i * 16];
}

static struct session row_of(int i, int64_t end_s)
{
    struct session row = {.client = handle(i), .generation = (uint64_t)i, .end_s = end_s};
    row.device_id.text[0] = 'd';
    return row;
}

static void put(struct sessions *s, int i, int64_t end_s)
{
    struct session row = row_of(i, end_s);
    assert_ok(sessions_put(s, &row));
}

static void test_put_find_remove(void **state)
{
    (void)state;
    struct sessions s;
    sessions_open(&s);
    assert_null(sessions_find(&s, handle(0)));
    sessions_remove(&s, handle(0));
    for (int i = 0; i < MANY; i++)
        put(&s, i, i);
    for (int i = 0; i < MANY; i += 2)
        sessions_remove(&s, handle(i));
    assert_int_equal(s.count, MANY / 2);
    for (int i = 0; i < MANY; i++) {
        const struct session *row = sessions_find(&s, handle(i));
        assert_true((row != NULL) == (i % 2 == 1));
        if (row != NULL)
            assert_int_equal(row->generation, i);
    }
    sessions_close(&s);
    assert_null(sessions_find(&s, handle(1)));
}

static void test_the_same_client_again_replaces_its_row(void **state)
{
    (void)state;
    struct sessions s;
    sessions_open(&s);
    put(&s, 1, 100);
    put(&s, 1, 200);
    assert_int_equal(s.count, 1);
    assert_int_equal(sessions_find(&s, handle(1))->end_s, 200);
    sessions_close(&s);
}

/* The old connection of a device ends after the new one was let in. */
static void test_takeover_keeps_the_new_row(void **state)
{
    (void)state;
    struct sessions s;
    sessions_open(&s);
    put(&s, 1, 100);
    put(&s, 2, 200);
    sessions_remove(&s, handle(1));
    assert_null(sessions_find(&s, handle(1)));
    assert_int_equal(sessions_find(&s, handle(2))->end_s, 200);
    sessions_close(&s);
}

/* Random puts and removals against a plain array. */
static void test_against_a_model(void **state)
{
    (void)state;
    enum { CLIENTS = 300, STEPS = 200000 };
    static bool there[CLIENTS];
    struct sessions s;
    sessions_open(&s);
    uint32_t seed = 1, count = 0;
    for (int step = 0; step < STEPS; step++) {
        seed = seed * 1664525u + 1013904223u;
        int i = (int)((seed >> 8) % CLIENTS);
        assert_int_equal(sessions_find(&s, handle(i)) != NULL, there[i]);
        if (seed >> 31)
            put(&s, i, i);
        else
            sessions_remove(&s, handle(i));
        count += (uint32_t)((seed >> 31) - there[i]);
        there[i] = seed >> 31;
        assert_int_equal(s.count, count);
    }
    sessions_close(&s);
}

struct seen {
    struct sessions *s;
    int count;
    int64_t latest_s;
    bool greedy;
};

static void note(void *context, const struct session *row)
{
    struct seen *seen = context;
    seen->count++;
    if (row->end_s > seen->latest_s)
        seen->latest_s = row->end_s;
    assert_null(sessions_find(seen->s, row->client));
    sessions_remove(seen->s, row->client); /* as the broker's own report of the end does */
    if (seen->greedy)
        for (int i = 0; i < 20; i++)
            sessions_remove(seen->s, handle(((int)row->generation + i) % MANY));
}

static void test_sweep_ends_what_is_due_and_no_more(void **state)
{
    (void)state;
    struct sessions s;
    sessions_open(&s);
    for (int i = 0; i < MANY; i++)
        put(&s, i, i * 7919 % MANY);
    assert_int_equal(s.first_end_s, 0);
    struct seen seen = {.s = &s};
    sessions_sweep(&s, MANY / 2, note, &seen);
    assert_int_equal(seen.count, MANY / 2 + 1);
    assert_int_equal(seen.latest_s, MANY / 2);
    assert_int_equal(s.count, MANY / 2 - 1);
    assert_int_equal(s.first_end_s, MANY / 2 + 1);
    sessions_sweep(&s, MANY / 2, note, &seen);
    assert_int_equal(seen.count, MANY / 2 + 1);
    sessions_sweep(&s, MANY, note, &seen);
    assert_int_equal(s.count, 0);
    sessions_close(&s);
}

static void test_sweep_while_others_go_too(void **state)
{
    (void)state;
    struct sessions s;
    sessions_open(&s);
    for (int i = 0; i < MANY; i++)
        put(&s, i, i % 3 == 0 ? 10 : 20);
    struct seen seen = {.s = &s, .greedy = true};
    sessions_sweep(&s, 10, note, &seen);
    for (uint32_t i = 0; i < s.count; i++)
        assert_int_equal(s.rows[i].end_s, 20);
    sessions_close(&s);
}

static void test_there_is_an_upper_bound(void **state)
{
    (void)state;
    struct sessions s;
    sessions_open(&s);
    char *base = malloc(SESSIONS_MAX + 1);
    assert_non_null(base);
    for (uint32_t i = 0; i < SESSIONS_MAX; i++) {
        struct session row = {.client = base + i, .end_s = SESSION_ENDLESS};
        assert_ok(sessions_put(&s, &row));
    }
    struct session row = {.client = base + SESSIONS_MAX};
    assert_err(ERR_FULL, sessions_put(&s, &row));
    assert_null(sessions_find(&s, row.client));
    sessions_remove(&s, base);
    assert_ok(sessions_put(&s, &row));
    free(base);
    sessions_close(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_put_find_remove),
        cmocka_unit_test(test_the_same_client_again_replaces_its_row),
        cmocka_unit_test(test_takeover_keeps_the_new_row),
        cmocka_unit_test(test_against_a_model),
        cmocka_unit_test(test_sweep_ends_what_is_due_and_no_more),
        cmocka_unit_test(test_sweep_while_others_go_too),
        cmocka_unit_test(test_there_is_an_upper_bound),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
