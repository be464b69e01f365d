/* Pages: whoever is there all the while is met once, whatever comes and goes. */
#include "store_change_unit.h"
#include <pthread.h>
#include <stdatomic.h>

#define ROWS 10000

struct traffic {
    struct store *store;
    atomic_bool over;
    unsigned rounds;
};

/* Puts new ones and removes every third of those that nobody promised to keep. */
static void *traffic_run(void *arg)
{
    struct traffic *t = arg;

    for (unsigned n = 0; !atomic_load(&t->over); n++, t->rounds++) {
        struct store_enrollment row = rows_enrollment(ROWS + n), gone = rows_enrollment(n * 10 % ROWS);
        struct store_change c[3] = {
            put_of(&row, STORE_MATCH_ANY), removal_of(STORE_ENROLLMENT, &gone.id, STORE_MATCH_ANY),
            put_of(&gone, STORE_MATCH_ANY)};
        if (rows_change_list(t->store, c, n % 2 == 0 ? 2 : 3) != ERR_OK)
            return t;
    }
    return NULL;
}

static void ten_thousand_are_met_while_others_come_and_go(void **state)
{
    static uint8_t met[ROWS];
    struct traffic t = {.rounds = 0};
    struct store_enrollment row;
    pthread_t thread;
    void *failed = NULL;
    uint64_t after = 0;
    enum err e = ERR_OK;

    (void)state;
    rows_create(dir, ROWS);
    t.store = open_store(STORE_SERVE);
    struct store_reader *r = open_reader(t.store);
    assert_int_equal(pthread_create(&thread, NULL, traffic_run, &t), 0);
    for (unsigned page = 0; e == ERR_OK && after < 3 * ROWS; page++) {
        for (int i = 0; i < 100 && (e = store_enrollment_next(r, after, &row)) == ERR_OK; i++) {
            unsigned n = (unsigned)strtoul(strrchr(row.id.text, '-') + 1, NULL, 10);
            assert_true(row.number > after);
            after = row.number;
            if (n < ROWS)
                met[n]++;
        }
        (void)usleep(1000);
    }
    atomic_store(&t.over, true);
    pthread_join(thread, &failed);
    assert_null(failed);
    assert_true(t.rounds > 10);
    for (unsigned n = 0; n < ROWS; n++)
        if (n % 10 != 0) /* these stayed all the while */
            assert_int_equal(met[n], 1);
    store_reader_close(r);
    store_close(t.store);
}

static bool count_visit(void *arg, const struct store_enrollment *row)
{
    uint64_t *left = arg;

    assert_true(row->number > 0);
    return --*left != 0;
}

static void a_scan_stops_when_told(void **state)
{
    uint64_t left = 30;

    (void)state;
    rows_create(dir, 50);
    struct store *s = open_store(STORE_READ);
    struct store_reader *r = open_reader(s);
    assert_ok(store_enrollment_scan(r, 0, count_visit, &left));
    assert_int_equal(left, 0);
    left = 30;
    assert_ok(store_enrollment_scan(r, 40, count_visit, &left));
    assert_int_equal(left, 20);
    assert_ok(store_enrollment_scan(r, UINT64_MAX, count_visit, &left));
    assert_int_equal(left, 20);
    store_reader_close(r);
    store_close(s);
}

static void groups_and_their_registrations_have_pages(void **state)
{
    struct store_group group;
    struct store_registration row;
    uint64_t after = 0;
    int groups = 0, rows = 0;

    (void)state;
    rows_create(dir, 5);
    struct store *s = open_store(STORE_SERVE);
    struct store_reader *r = open_reader(s);
    for (unsigned n = 0; n < 3; n++) {
        struct store_change c = group_of(n == 0 ? "a" : n == 1 ? "b" : "c", STORE_MATCH_ABSENT);
        assert_ok(rows_change(s, &c));
    }
    for (unsigned n = 0; n < 12; n++) {
        row = rows_registration(n, 1);
        row.group = rows_id(n < 5 ? "" : n < 9 ? "a" : "b");
        assert_ok(rows_assign(s, &row));
    }
    struct store_change gone = removal_of(STORE_REGISTRATION, &(struct regid){{0}}, STORE_MATCH_ANY);
    gone.id = rows_registration(6, 1).id;
    assert_ok(rows_change(s, &gone));
    for (; store_group_next(r, after, &group) == ERR_OK; groups++)
        after = group.number;
    assert_int_equal(groups, 3);
    struct regid id = rows_id("a");
    for (after = 0; store_registration_next(r, &id, after, &row) == ERR_OK; rows++) {
        assert_string_equal(row.group.text, "a");
        assert_true(row.number > after && !row.deleted);
        after = row.number;
    }
    assert_int_equal(rows, 3);
    id = rows_id("");
    assert_err(ERR_ABSENT, store_registration_next(r, &id, 0, &row)); /* is no group */
    store_reader_close(r);
    store_close(s);
}

static void a_held_reader_sees_one_moment(void **state)
{
    struct store_enrollment row = rows_enrollment(0), found;

    (void)state;
    rows_create(dir, 1);
    struct store *s = open_store(STORE_SERVE);
    struct store_reader *r = open_reader(s);
    assert_ok(store_reader_hold(r));
    assert_ok(store_enrollment_find(r, &row.id, &found));
    struct store_change c = put_of(&row, STORE_MATCH_ANY);
    c.credential = SPAN_LITERAL("new");
    assert_ok(rows_change(s, &c));
    uint8_t bytes[100];
    struct buf out = BUF_OVER(bytes);
    assert_ok(store_enrollment_find(r, &row.id, &found));
    assert_int_equal(found.revision, 1);
    assert_err(ERR_ABSENT, store_credential_find(r, found.number, &out));
    store_reader_release(r);
    store_reader_release(r);
    assert_ok(store_credential_find(r, found.number, &out));
    assert_ok(store_enrollment_find(r, &row.id, &found));
    assert_int_equal(found.revision, 2);
    store_reader_close(r);
    store_close(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        test(ten_thousand_are_met_while_others_come_and_go),
        test(a_scan_stops_when_told),
        test(groups_and_their_registrations_have_pages),
        test(a_held_reader_sees_one_moment),
    };

    prefer_memory();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
