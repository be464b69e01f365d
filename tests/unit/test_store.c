/* The store as its callers see it: opening, and enrollments. */
#include "store_unit.h"
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- opening ---- */

static void assert_mode(const char *name, mode_t mode)
{
    char path[512];
    struct stat info;

    (void)snprintf(path, sizeof path, "%s/%s", dir, name);
    assert_int_equal(stat(path, &info), 0);
    assert_int_equal(info.st_mode & 0777, mode);
}

static void creates_private_files_once(void **state)
{
    struct store *s = NULL;
    struct store_reason reason = {""};

    (void)state;
    mode_t before = umask(0);
    rows_create(dir, 3);
    umask(before);
    assert_mode("db", 0700);
    assert_mode("db/enrollments.db", 0600);
    assert_mode("db/enrollments.db-wal", 0600);
    assert_mode("db/registrations.db", 0600);
    assert_err(ERR_DUPLICATE, store_open(dir, STORE_CREATE, &s, &reason));
    assert_non_null(strstr(reason.text, "already"));

    s = open_store(STORE_READ);
    struct store_reader *r = open_reader(s);
    uint64_t count = 99;
    assert_err(ERR_OK, store_enrollment_count(r, &count));
    assert_int_equal(count, 3);
    assert_err(ERR_OK, store_registration_count(r, &count));
    assert_int_equal(count, 0);
    store_reader_close(r);
    store_close(s);
}

static void creates_after_a_cut_off_attempt(void **state)
{
    char path[512];

    (void)state;
    (void)snprintf(path, sizeof path, "%s/db.new", dir);
    assert_int_equal(mkdir(path, 0700), 0);
    (void)snprintf(path, sizeof path, "%s/db.new/enrollments.db", dir);
    int fd = open(path, O_WRONLY | O_CREAT, 0600);
    assert_int_equal(write(fd, "half", 4), 4);
    close(fd);
    (void)snprintf(path, sizeof path, "%s/db", dir);
    assert_int_equal(mkdir(path, 0700), 0);
    rows_create(dir, 1);
    store_close(open_store(STORE_SERVE));
}

static void says_when_there_is_nothing(void **state)
{
    static const enum store_mode modes[] = {STORE_SERVE, STORE_IMPORT, STORE_READ};

    (void)state;
    for (size_t i = 0; i < sizeof modes / sizeof modes[0]; i++) {
        struct store *s = NULL;
        struct store_reason reason = {""};
        assert_err(ERR_ABSENT, store_open(dir, modes[i], &s, &reason));
        assert_non_null(strstr(reason.text, "enrollments.db"));
        assert_null(s);
    }
    store_close(NULL);
    store_reader_close(NULL);
    store_batch_rollback(NULL);
}

static void refuses_a_name_that_is_too_long(void **state)
{
    char name[2000];
    struct store *s = NULL;

    (void)state;
    memset(name, 'x', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    assert_err(ERR_STORE, store_open(name, STORE_CREATE, &s, NULL));
    assert_err(ERR_STORE, store_open(name, STORE_SERVE, &s, NULL));
}

/* ---- enrollments ---- */

static void finds_enrollments_by_each_key(void **state)
{
    struct store_enrollment row = rows_enrollment(7), found;

    (void)state;
    rows_create(dir, 5);
    row.device_id = rows_id("pump-7");
    row.pin_srk = true;
    row.srk_len = TPM_PUBLIC_CAP;
    memset(row.srk, 0x5a, row.srk_len);
    rows_enroll(dir, &row);

    struct store *s = open_store(STORE_READ);
    struct store_reader *r = open_reader(s);
    memset(&found, 0xa5, sizeof found);
    assert_err(ERR_OK, store_enrollment_find(r, &row.id, &found));
    assert_same_enrollment(&found, &row);
    memset(&found, 0xa5, sizeof found);
    assert_err(ERR_OK, store_enrollment_find_by_key(r, row.ek_hash, &found));
    assert_same_enrollment(&found, &row);

    struct store_enrollment stranger = rows_enrollment(8);
    memset(&found, 0xa5, sizeof found);
    assert_err(ERR_ABSENT, store_enrollment_find(r, &stranger.id, &found));
    assert_err(ERR_ABSENT, store_enrollment_find_by_key(r, stranger.ek_hash, &found));
    assert_int_equal(found.ek[0], 0xa5);
    store_reader_close(r);
    store_close(s);
}

struct put_case {
    const char *what;
    void (*change)(struct store_enrollment *row);
    enum store_put outcome;
    unsigned other; /* whose id is reported */
};

static void change_nothing(struct store_enrollment *row)
{
    (void)row;
}

static void change_times_and_spelling(struct store_enrollment *row)
{
    row->created_s += 5;
    row->updated_s += 5;
    row->ek[10] ^= 1; /* another template around the same key */
}

static void change_key(struct store_enrollment *row)
{
    row->ek_hash[0] ^= 1;
}

static void change_srk(struct store_enrollment *row)
{
    row->srk_len = 3;
}

static void change_pin(struct store_enrollment *row)
{
    row->pin_srk = true;
}

static void change_id(struct store_enrollment *row)
{
    row->id = rows_id("another");
}

static void change_all_but_device(struct store_enrollment *row)
{
    struct regid device_id = row->device_id;

    *row = rows_enrollment(9);
    row->device_id = device_id;
}

static void change_to_others_key(struct store_enrollment *row)
{
    *row = rows_enrollment(9);
    memcpy(row->ek_hash, rows_enrollment(2).ek_hash, sizeof row->ek_hash);
}

static void change_to_new(struct store_enrollment *row)
{
    *row = rows_enrollment(9);
}

static const struct put_case put_cases[] = {
    {"the same", change_nothing, STORE_PUT_SAME, 1},
    {"the same key, otherwise written", change_times_and_spelling, STORE_PUT_SAME, 1},
    {"another key", change_key, STORE_PUT_ID_TAKEN, 1},
    {"another SRK", change_srk, STORE_PUT_ID_TAKEN, 1},
    {"now pinned", change_pin, STORE_PUT_ID_TAKEN, 1},
    {"T9: one key, two ids", change_id, STORE_PUT_KEY_TAKEN, 1},
    {"T9: another's key", change_to_others_key, STORE_PUT_KEY_TAKEN, 2},
    {"another's device id", change_all_but_device, STORE_PUT_DEVICE_TAKEN, 1},
    {"a new one", change_to_new, STORE_PUT_NEW, 0},
};

static void puts_tell_what_stood_in_the_way(void **state)
{
    (void)state;
    rows_create(dir, 3);
    for (size_t i = 0; i < sizeof put_cases / sizeof put_cases[0]; i++) {
        const struct put_case *c = &put_cases[i];
        struct store_enrollment row = rows_enrollment(1);
        struct store *s = open_store(STORE_IMPORT);
        struct store_batch *batch = NULL;
        enum store_put outcome = 77;
        struct regid other = rows_id("untouched");

        c->change(&row);
        assert_err(ERR_OK, store_batch_begin(s, &batch));
        assert_err(ERR_OK, store_batch_put(batch, &row, &outcome, &other));
        if (outcome != c->outcome)
            fail_msg("%s: %d instead of %d", c->what, outcome, c->outcome);
        if (outcome != STORE_PUT_NEW)
            assert_string_equal(other.text, rows_enrollment(c->other).id.text);
        store_batch_rollback(batch);
        store_close(s);
    }
}

static uint64_t count_enrollments(struct store *s)
{
    struct store_reader *r = open_reader(s);
    uint64_t count = 0;

    assert_err(ERR_OK, store_enrollment_count(r, &count));
    store_reader_close(r);
    return count;
}

static void put_ok(struct store_batch *batch, unsigned n, enum store_put expected)
{
    struct store_enrollment row = rows_enrollment(n);
    enum store_put outcome;
    struct regid other;

    assert_err(ERR_OK, store_batch_put(batch, &row, &outcome, &other));
    assert_int_equal(outcome, expected);
}

static void batches_are_all_or_nothing(void **state)
{
    struct store_batch *batch = NULL;

    (void)state;
    rows_create(dir, 0);
    struct store *s = open_store(STORE_IMPORT);
    assert_err(ERR_OK, store_batch_begin(s, &batch));
    put_ok(batch, 1, STORE_PUT_NEW);
    put_ok(batch, 1, STORE_PUT_SAME);
    assert_int_equal(count_enrollments(s), 0);
    store_batch_rollback(batch);
    assert_int_equal(count_enrollments(s), 0);

    assert_err(ERR_OK, store_batch_begin(s, &batch));
    for (unsigned n = 0; n < STORE_BATCH_MAX; n++)
        put_ok(batch, n, STORE_PUT_NEW);
    assert_err(ERR_OK, store_batch_commit(batch));
    assert_int_equal(count_enrollments(s), STORE_BATCH_MAX);

    assert_err(ERR_OK, store_batch_begin(s, &batch));
    assert_err(ERR_OK, store_batch_commit(batch));
    store_close(s);
}

static void disabling_is_seen_at_once(void **state)
{
    struct store_enrollment row = rows_enrollment(1), found;
    uint64_t before = 0, after = 0;

    (void)state;
    rows_create(dir, 3);
    struct store *reading = open_store(STORE_READ), *importing = open_store(STORE_IMPORT);
    struct store_reader *r = open_reader(reading);
    assert_err(ERR_OK, store_reader_version(r, &before));
    assert_err(ERR_OK, store_reader_version(r, &after));
    assert_true(before == after);
    assert_err(ERR_OK, store_enrollment_set_enabled(importing, &row.id, false, 1800000000));
    assert_err(ERR_OK, store_reader_version(r, &after));
    assert_true(before != after);
    assert_err(ERR_OK, store_enrollment_find(r, &row.id, &found));
    row.enabled = false;
    row.updated_s = 1800000000;
    assert_same_enrollment(&found, &row);
    assert_err(ERR_OK, store_enrollment_set_enabled(importing, &row.id, true, 1800000001));
    assert_err(ERR_OK, store_enrollment_find(r, &row.id, &found));
    assert_true(found.enabled);

    struct regid nobody = rows_id("nobody");
    assert_err(ERR_ABSENT, store_enrollment_set_enabled(importing, &nobody, false, 1));
    store_reader_close(r);
    store_close(reading);
    store_close(importing);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        test(creates_private_files_once),
        test(creates_after_a_cut_off_attempt),
        test(says_when_there_is_nothing),
        test(refuses_a_name_that_is_too_long),
        test(finds_enrollments_by_each_key),
        test(puts_tell_what_stood_in_the_way),
        test(batches_are_all_or_nothing),
        test(disabling_is_seen_at_once),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
