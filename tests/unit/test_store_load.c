/* The first load: what it writes without SQLite, SQLite must find sound to the last byte, and equal to
 * what batches would have made of the same rows. */
#include "store_back_door.h"
#include <stdlib.h>
#include <store/sqlite/pages.h>
#include <store/sqlite/record.h>
#include <store/sqlite/runs.h>
#include <unistd.h>

/* ---- rows of every kind ---- */

static const int64_t times[] = {
    0, 1, -1, 2, 127, 128, -128, -129, 32767, 32768, 8388607, -8388609, 2147483647, 2147483648,
    140737488355327, -140737488355329, INT64_MAX, INT64_MIN};

static struct store_enrollment odd_row(unsigned n)
{
    struct store_enrollment row = rows_enrollment(n);
    unsigned len = n % 7 == 3 ? REGID_MAX : n % 5 == 1 ? 12 : 40;

    (void)snprintf(row.id.text, sizeof row.id.text, "%0*u", (int)len, n * 2654435761u);
    row.device_id = row.id;
    if (n % 3 == 1)
        (void)snprintf(row.device_id.text, sizeof row.device_id.text, "device-%u", n);
    row.srk_len = n % 4 == 2 ? 280 : 0;
    memset(row.srk, (int)n, row.srk_len);
    row.ek_len = n % 11 == 5 ? 90 : 316;
    row.pin_srk = n % 2;
    row.enabled = n % 9 != 0;
    row.ek_grade = (enum store_ek_grade)(n % 3);
    row.created_s = times[n % (sizeof times / sizeof times[0])];
    row.updated_s = times[(n + 1) % (sizeof times / sizeof times[0])];
    return row;
}

static struct store_profile profile_of(unsigned n)
{
    struct store_profile p = {0};

    if (n % 2 == 1)
        (void)snprintf(p.tags, sizeof p.tags, "line-%u", n % 4);
    return p;
}

/* Some lie on the leaf whole, some reach over one page or two. */
static size_t certificate_len(unsigned n)
{
    static const size_t lens[] = {1,    900,  4040, 4050, 4051, 4052, 4053, 4054, 4055, 4056, 4057, 4058,
                                  4059, 4060, 4061, 4062, 4500, 4580, 4590, 8140, 8150, 8160, 8192};
    return n % 6 == 0 ? lens[n / 6 % (sizeof lens / sizeof lens[0])] : 0;
}

static struct span certificate_of(unsigned n)
{
    static uint8_t der[STORE_CERTIFICATE_CAP];

    for (size_t i = 0; i < sizeof der; i++)
        der[i] = (uint8_t)(n + i * 13 + i / 251);
    return span_of(der, certificate_len(n));
}

/* ---- both ways ---- */

static void load_rows(struct store *s, unsigned count)
{
    struct store_load *l;
    struct store_reason why = {""};

    assert_ok(store_load_begin(s, &l, &why));
    for (unsigned n = 0; n < count; n++) {
        struct store_enrollment row = odd_row(n);
        struct store_profile profile = profile_of(n);
        assert_ok(store_load_profile(l, &profile, &row.profile));
        assert_ok(store_load_put(l, &row));
        if (certificate_len(n) > 0)
            assert_ok(store_load_certificate(l, certificate_of(n)));
    }
    enum err e = store_load_commit(l, &why);
    if (e != ERR_OK)
        fail_msg("%u rows: %s: %s", count, err_name(e), why.text);
}

static void batch_rows(struct store *s, unsigned from, unsigned to)
{
    while (from < to) {
        struct store_batch *b;
        assert_ok(store_batch_begin(s, &b));
        for (int i = 0; i < STORE_BATCH_MAX && from < to; i++, from++) {
            struct store_enrollment row = odd_row(from);
            struct store_profile profile = profile_of(from);
            enum store_put put;
            struct regid other;
            assert_ok(store_batch_profile(b, &profile, &row.profile));
            assert_ok(store_batch_put(b, &row, &put, &other));
            assert_int_equal(put, STORE_PUT_NEW);
            if (certificate_len(from) > 0)
                assert_ok(store_batch_certificate(b, &row.id, certificate_of(from)));
        }
        assert_ok(store_batch_commit(b));
    }
}

static void assert_answer(sqlite3 *db, const char *sql, const char *expected)
{
    sqlite3_stmt *statement = NULL;

    assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &statement, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(statement), SQLITE_ROW);
    const char *answer = (const char *)sqlite3_column_text(statement, 0);
    if (strcmp(answer, expected) != 0)
        fail_msg("%s: %s, not %s", sql, answer, expected);
    (void)sqlite3_finalize(statement);
}

static void assert_sound(void)
{
    sqlite3 *db = back_door_open(ENROLLMENTS_FILE);

    assert_answer(db, "PRAGMA integrity_check", "ok");
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

/* As the databases of `dir` and `other` have them. */
static void assert_equal_tables(const char *other)
{
    static const char *const tables[] = {"enrollment", "certificate", "profile"};
    sqlite3 *db = back_door_open(ENROLLMENTS_FILE);
    char sql[600];

    (void)snprintf(sql, sizeof sql, "ATTACH '%s/" ENROLLMENTS_FILE "' AS other", other);
    back_door_run(db, sql);
    for (size_t i = 0; i < 3; i++) {
        (void)snprintf(sql, sizeof sql,
                       "SELECT (SELECT count(*) FROM main.%s) - (SELECT count(*) FROM other.%s) + "
                       "(SELECT count(*) FROM (SELECT * FROM main.%s EXCEPT SELECT * FROM other.%s))",
                       tables[i], tables[i], tables[i], tables[i]);
        assert_answer(db, sql, "0");
    }
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

static void load_of(unsigned count)
{
    rows_create(dir, 0);
    struct store *s = open_store(STORE_IMPORT);
    load_rows(s, count);
    store_close(s);
    assert_sound();
}

static void start_anew(void)
{
    rows_directory_remove(dir);
    rows_directory_make(dir, sizeof dir);
}

/* Around each of the first pages' ends, and at two and three levels of each tree. */
static void every_size_is_sound(void **state)
{
    static const unsigned counts[] = {0, 1, 2, 7, 9, 10, 11, 12, 13, 24, 60, 137, 900, 1300, 9000};

    (void)state;
    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++) {
        if (i > 0)
            start_anew();
        load_of(counts[i]);
    }
}

static void equals_what_batches_make(void **state)
{
    char loaded[sizeof dir];

    (void)state;
    load_of(2500);
    memcpy(loaded, dir, sizeof dir);
    rows_directory_make(dir, sizeof dir);
    rows_create(dir, 0);
    struct store *s = open_store(STORE_IMPORT);
    batch_rows(s, 0, 2500);
    store_close(s);
    assert_equal_tables(loaded);
    rows_directory_remove(loaded);
}

/* The free pages are SQLite's to use, and every index goes on. */
static void batches_go_on_where_it_ended(void **state)
{
    (void)state;
    rows_create(dir, 0);
    struct store *s = open_store(STORE_IMPORT);
    load_rows(s, 700);
    batch_rows(s, 700, 1900);
    struct store_reader *r = open_reader(s);
    for (unsigned n = 0; n < 1900; n++) {
        struct store_enrollment row = odd_row(n), found;
        assert_ok(store_enrollment_find(r, &row.id, &found));
        assert_same_enrollment(&row, &found);
        assert_ok(store_enrollment_find_by_key(r, row.ek_hash, &found));
        assert_string_equal(row.id.text, found.id.text);
    }
    store_reader_close(r);
    store_close(s);
    assert_sound();
}

static void rows_that_share_something_are_not_published(void **state)
{
    (void)state;
    rows_create(dir, 0);
    for (int shared = 0; shared < 3; shared++) {
        struct store *s = open_store(STORE_IMPORT);
        struct store_load *l;
        struct store_reason why = {""};
        struct store_enrollment a = odd_row(1), b = odd_row(4);
        if (shared == 0)
            b.id = a.id;
        else if (shared == 1)
            memcpy(b.ek_hash, a.ek_hash, sizeof a.ek_hash);
        else
            b.device_id = a.device_id;
        assert_ok(store_load_begin(s, &l, &why));
        assert_ok(store_load_put(l, &a));
        assert_ok(store_load_put(l, &b));
        assert_err(ERR_STORE, store_load_commit(l, &why));
        assert_non_null(strstr(why.text, "share"));
        if (shared == 2) /* the old file is as good as before */
            batch_rows(s, 0, 100);
        store_close(s);
    }
    assert_sound();
}

static void an_abandoned_load_leaves_nothing(void **state)
{
    (void)state;
    rows_create(dir, 0);
    struct store *s = open_store(STORE_IMPORT);
    struct store_load *l;
    struct store_enrollment row = odd_row(0);
    assert_ok(store_load_begin(s, &l, NULL));
    assert_ok(store_load_put(l, &row));
    store_load_abandon(l);
    assert_int_equal(access(path_of(ENROLLMENTS_FILE ".load"), F_OK), -1);
    load_rows(s, 20);
    store_close(s);
    assert_sound();
}

/* ---- the page of locks, at 1 GiB ---- */

#define LOCKS_AT 0x40000000
static void steps_over_the_page_of_locks(void **state)
{
    uint8_t bytes[RECORD_HEAD + 16], header[100];
    struct pages *p;
    struct tree *t;
    FILE *f;

    (void)state;
    f = fopen(path_of("big.db"), "w");
    assert_non_null(f);
    (void)fclose(f);
    back_door("big.db", "CREATE TABLE t (number INTEGER PRIMARY KEY, value INTEGER)");
    /* As if it were nearly as long already. */
    f = fopen(path_of("big.db"), "r+");
    assert_non_null(f);
    assert_int_equal(fread(header, 1, sizeof header, f), sizeof header);
    uint32_t pages = LOCKS_AT / PAGE_SIZE - 50;
    for (int i = 0; i < 4; i++)
        header[28 + i] = (uint8_t)(pages >> (24 - 8 * i));
    rewind(f);
    assert_int_equal(fwrite(header, 1, sizeof header, f), sizeof header);
    (void)fclose(f);
    assert_int_equal(truncate(path_of("big.db"), (off_t)pages * PAGE_SIZE), 0);

    assert_ok(pages_open(path_of("big.db"), &p));
    assert_ok(tree_open(p, TREE_TABLE, 2, &t));
    for (unsigned n = 1; n <= 100000; n++) {
        struct record record = record_over(bytes, sizeof bytes);
        record_put_null(&record);
        record_put_integer(&record, n);
        assert_ok(tree_put(t, n, record_end(&record)));
    }
    assert_ok(tree_finish(t));
    assert_ok(pages_finish(p));
    tree_close(t);
    pages_close(p);
    sqlite3 *db = back_door_open("big.db");
    assert_answer(db, "SELECT sum(value) = 5000050000 FROM t", "1");
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

/* ---- sorting ---- */

static size_t make_key(unsigned n, uint8_t *ret_key)
{
    static const char shared[] = "all-begin-so-";
    size_t len = sizeof shared - 1;

    memcpy(ret_key, shared, len);
    for (unsigned m = n; m > 0; m /= 5) /* short and long ones, with zeros at the end */
        ret_key[len++] = (uint8_t)(m % 5 * 60);
    return len;
}

static int compare_spans(struct span a, struct span b)
{
    int order = memcmp(a.at, b.at, a.len < b.len ? a.len : b.len);
    return order != 0 ? order : (a.len > b.len) - (a.len < b.len);
}

static void sort_so_many(unsigned count, size_t at_once)
{
    struct runs *r;
    uint8_t key[RUNS_KEY_MAX], last[RUNS_KEY_MAX];
    size_t last_len = 0;
    struct span found;
    uint32_t number;
    bool *seen = calloc(count + 1, sizeof *seen);

    assert_ok(runs_open(dir, at_once, &r));
    for (unsigned i = 0; i < count; i++) {
        unsigned n = (unsigned)((uint64_t)i * 7919 % count); /* 7919 is prime, and count smaller or odd */
        assert_ok(runs_put(r, span_of(key, make_key(n, key)), n));
    }
    assert_ok(runs_sort(r));
    for (unsigned i = 0; i < count; i++) {
        assert_ok(runs_next(r, &found, &number));
        assert_true(number < count && !seen[number]);
        seen[number] = true;
        assert_true(span_equal(found, span_of(key, make_key(number, key))));
        assert_true(i == 0 || compare_spans(span_of(last, last_len), found) < 0);
        memcpy(last, found.at, found.len);
        last_len = found.len;
    }
    assert_err(ERR_ABSENT, runs_next(r, &found, &number));
    assert_err(ERR_ABSENT, runs_next(r, &found, &number));
    runs_close(r);
    free(seen);
}

static void runs_come_out_sorted(void **state)
{
    (void)state;
    sort_so_many(0, 10);
    sort_so_many(1, 10);
    sort_so_many(10, 10);
    sort_so_many(11, 10);
    sort_so_many(4999, 64);
    sort_so_many(4999, 5000);
}

static void a_key_that_is_there_twice_is_told(void **state)
{
    (void)state;
    for (size_t at_once = 1; at_once < 5; at_once++) {
        struct runs *r;
        struct span key;
        uint32_t number;
        assert_ok(runs_open(dir, at_once, &r));
        assert_ok(runs_put(r, SPAN_LITERAL("b"), 1));
        assert_ok(runs_put(r, SPAN_LITERAL("a"), 2));
        assert_ok(runs_put(r, SPAN_LITERAL("b"), 3));
        assert_ok(runs_sort(r));
        assert_ok(runs_next(r, &key, &number));
        assert_int_equal(number, 2);
        assert_ok(runs_next(r, &key, &number));
        assert_err(ERR_DUPLICATE, runs_next(r, &key, &number));
        runs_close(r);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        test(every_size_is_sound),
        test(equals_what_batches_make),
        test(batches_go_on_where_it_ended),
        test(rows_that_share_something_are_not_published),
        test(an_abandoned_load_leaves_nothing),
        test(steps_over_the_page_of_locks),
        test(runs_come_out_sorted),
        test(a_key_that_is_there_twice_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
