/* The store as its callers see it: what goes in comes out, once, and only when it may. */
#include "store_rows.h"
#include "unit.h"
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static char dir[256];

static int make_directory(void **state)
{
    (void)state;
    rows_directory_make(dir, sizeof dir);
    return 0;
}

static int remove_directory(void **state)
{
    (void)state;
    rows_directory_remove(dir);
    return 0;
}

static struct store *open_store(enum store_mode mode)
{
    struct store *s = NULL;
    struct store_reason reason = {""};
    enum err e = store_open(dir, mode, &s, &reason);

    if (e != ERR_OK)
        fail_msg("store_open: %s: %s", err_name(e), reason.text);
    return s;
}

static struct store_reader *open_reader(struct store *s)
{
    struct store_reader *r = NULL;

    assert_err(ERR_OK, store_reader_open(s, &r));
    return r;
}

static void assert_same_enrollment(const struct store_enrollment *a,
                                   const struct store_enrollment *b)
{
    assert_string_equal(a->id.text, b->id.text);
    assert_string_equal(a->device_id.text, b->device_id.text);
    assert_memory_equal(a->ek_hash, b->ek_hash, sizeof a->ek_hash);
    assert_int_equal(a->ek_len, b->ek_len);
    assert_memory_equal(a->ek, b->ek, a->ek_len);
    assert_int_equal(a->srk_len, b->srk_len);
    assert_true(a->srk_len == 0 || memcmp(a->srk, b->srk, a->srk_len) == 0);
    assert_int_equal(a->pin_srk, b->pin_srk);
    assert_int_equal(a->enabled, b->enabled);
    assert_int_equal(a->created_s, b->created_s);
    assert_int_equal(a->updated_s, b->updated_s);
}

static void assert_same_registration(const struct store_registration *a,
                                     const struct store_registration *b)
{
    assert_string_equal(a->id.text, b->id.text);
    assert_string_equal(a->device_id.text, b->device_id.text);
    assert_int_equal(a->generation, b->generation);
    assert_memory_equal(a->ek_hash, b->ek_hash, sizeof a->ek_hash);
    assert_int_equal(a->srk_len, b->srk_len);
    assert_memory_equal(a->srk, b->srk, a->srk_len);
    assert_string_equal(a->hub, b->hub);
    assert_string_equal(a->operation_id, b->operation_id);
    assert_int_equal(a->challenge_window, b->challenge_window);
    assert_string_equal(a->etag, b->etag);
    assert_int_equal(a->created_s, b->created_s);
    assert_int_equal(a->updated_s, b->updated_s);
}

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

/* ---- registrations ---- */

static void assigns_by_compare_and_set(void **state)
{
    struct store_registration first = rows_registration(1, 1), second = rows_registration(1, 2), found;

    (void)state;
    rows_create(dir, 3);
    struct store *s = open_store(STORE_SERVE);
    struct store_reader *r = open_reader(s);
    uint64_t before = 0, after = 0;
    assert_err(ERR_ABSENT, store_registration_find(r, &first.id, &found));
    assert_err(ERR_OK, store_reader_version(r, &before));
    assert_err(ERR_CONFLICT, rows_assign(s, &second));
    assert_err(ERR_OK, rows_assign(s, &first));
    assert_err(ERR_OK, store_reader_version(r, &after));
    assert_true(before != after);
    memset(&found, 0xa5, sizeof found);
    assert_err(ERR_OK, store_registration_find(r, &first.id, &found));
    assert_same_registration(&found, &first);

    assert_err(ERR_CONFLICT, rows_assign(s, &first));
    assert_err(ERR_OK, rows_assign(s, &second));
    assert_err(ERR_CONFLICT, rows_assign(s, &second));
    assert_err(ERR_OK, store_registration_find(r, &first.id, &found));
    second.created_s = first.created_s;
    assert_same_registration(&found, &second);
    store_reader_close(r);
    store_close(s);
}

static void assigns_no_impossible_generation(void **state)
{
    (void)state;
    rows_create(dir, 2);
    struct store *s = open_store(STORE_SERVE);
    struct store_registration row = rows_registration(1, 0);
    assert_err(ERR_CONFLICT, rows_assign(s, &row));
    row.generation = UINT64_MAX;
    assert_err(ERR_CONFLICT, rows_assign(s, &row));
    row.generation = (uint64_t)INT64_MAX + 1;
    assert_err(ERR_CONFLICT, rows_assign(s, &row));
    store_close(s);
}

static void assigns_only_to_the_enrolled(void **state)
{
    (void)state;
    rows_create(dir, 3);
    struct store *s = open_store(STORE_SERVE), *importing = open_store(STORE_IMPORT);
    struct store_registration stranger = rows_registration(8, 1);
    assert_err(ERR_CONFLICT, rows_assign(s, &stranger));

    struct store_registration other_key = rows_registration(1, 1);
    other_key.ek_hash[5] ^= 1;
    assert_err(ERR_CONFLICT, rows_assign(s, &other_key));

    struct store_registration disabled = rows_registration(2, 1);
    assert_err(ERR_OK, store_enrollment_set_enabled(importing, &disabled.id, false, 5));
    assert_err(ERR_CONFLICT, rows_assign(s, &disabled));
    assert_err(ERR_OK, store_enrollment_set_enabled(importing, &disabled.id, true, 6));
    assert_err(ERR_OK, rows_assign(s, &disabled));
    store_close(importing);
    store_close(s);
}

static void registrations_outlive_the_process(void **state)
{
    struct store_registration row = rows_registration(1, 1), found;

    (void)state;
    rows_create(dir, 3);
    struct store *s = open_store(STORE_SERVE);
    assert_err(ERR_OK, rows_assign(s, &row));
    store_close(s);
    s = open_store(STORE_READ);
    struct store_reader *r = open_reader(s);
    assert_err(ERR_OK, store_registration_find(r, &row.id, &found));
    assert_same_registration(&found, &row);
    store_reader_close(r);
    store_close(s);
}

static void finds_devices_for_the_hub(void **state)
{
    struct store_enrollment row = rows_enrollment(7), enrollment;
    struct store_registration mine = rows_registration(7, 1), registration;

    (void)state;
    rows_create(dir, 3);
    row.device_id = rows_id("pump-7");
    rows_enroll(dir, &row);
    struct store *s = open_store(STORE_SERVE);
    struct store_reader *r = open_reader(s);
    assert_err(ERR_ABSENT, store_device_find(r, &row.device_id, &registration, &enrollment));
    /* made when the device still had its own id for a name */
    assert_err(ERR_OK, rows_assign(s, &mine));
    assert_err(ERR_ABSENT, store_device_find(r, &row.device_id, &registration, &enrollment));
    assert_err(ERR_ABSENT, store_device_find(r, &row.id, &registration, &enrollment));
    mine.generation = 2;
    mine.device_id = row.device_id;
    assert_err(ERR_OK, rows_assign(s, &mine));
    assert_err(ERR_OK, store_device_find(r, &row.device_id, &registration, &enrollment));
    assert_same_enrollment(&enrollment, &row);
    assert_string_equal(registration.id.text, row.id.text);
    assert_int_equal(registration.generation, 2);
    store_reader_close(r);
    store_close(s);
}

/* ---- side by side ---- */

#define RACERS 4
#define RACE_GENERATIONS 50
struct race {
    struct store *store;
    atomic_int won;
};

static void *race_run(void *arg)
{
    struct race *race = arg;

    for (uint64_t g = 1; g <= RACE_GENERATIONS; g++) {
        struct store_registration row = rows_registration(1, g);
        enum err e = rows_assign(race->store, &row);
        if (e == ERR_OK)
            atomic_fetch_add(&race->won, 1);
        else if (e != ERR_CONFLICT)
            return race;
    }
    return NULL;
}

static void one_wins_each_race(void **state)
{
    struct race race = {0};
    pthread_t threads[RACERS];
    struct store_registration found;

    (void)state;
    rows_create(dir, 3);
    race.store = open_store(STORE_SERVE);
    for (int i = 0; i < RACERS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, race_run, &race), 0);
    for (int i = 0; i < RACERS; i++) {
        void *failed = NULL;
        pthread_join(threads[i], &failed);
        assert_null(failed);
    }
    struct store_reader *r = open_reader(race.store);
    struct regid id = rows_enrollment(1).id;
    assert_err(ERR_OK, store_registration_find(r, &id, &found));
    /* each generation that exists was won by exactly one */
    assert_int_equal(found.generation, atomic_load(&race.won));
    assert_true(found.generation >= 1);
    store_reader_close(r);
    store_close(race.store);
}

struct crowd_waiter {
    struct store_waiter waiter;
    atomic_int *left;
    enum err outcome;
    int calls;
};

static void crowd_done(struct store_waiter *waiter, enum err outcome)
{
    struct crowd_waiter *w = (struct crowd_waiter *)waiter;

    w->outcome = outcome;
    w->calls++;
    atomic_fetch_sub(w->left, 1);
}

/* Every third one is a stranger; closing commits what still waits. */
static void a_group_tells_each_his_own(void **state)
{
    static struct crowd_waiter waiters[300];
    atomic_int left = 300;

    (void)state;
    rows_create(dir, 300);
    struct store *s = open_store(STORE_SERVE);
    for (unsigned n = 0; n < 300; n++) {
        struct store_registration row = rows_registration(n % 3 != 0 ? n : n + 1000, 1);
        waiters[n] = (struct crowd_waiter){{crowd_done}, &left, ERR_INTERNAL, 0};
        assert_err(ERR_OK, store_registration_assign(s, &row, &waiters[n].waiter));
    }
    store_close(s);
    assert_int_equal(atomic_load(&left), 0);
    for (unsigned n = 0; n < 300; n++) {
        assert_int_equal(waiters[n].calls, 1);
        assert_int_equal(waiters[n].outcome, n % 3 != 0 ? ERR_OK : ERR_CONFLICT);
    }
}

static void blocked_done(struct store_waiter *waiter, enum err outcome)
{
    struct crowd_waiter *w = (struct crowd_waiter *)waiter;

    while (atomic_load(w->left) != 0) /* holds the writer thread */
        usleep(1000);
    w->outcome = outcome;
}

static void a_full_queue_says_so(void **state)
{
    static struct crowd_waiter waiters[3000];
    struct crowd_waiter blocker = {{blocked_done}, NULL, ERR_INTERNAL, 0};
    atomic_int hold = 1, left = 0;
    struct store_registration row = rows_registration(1, 1);
    unsigned n = 0;
    enum err e = ERR_OK;

    (void)state;
    rows_create(dir, 3);
    struct store *s = open_store(STORE_SERVE);
    blocker.left = &hold;
    assert_err(ERR_OK, store_registration_assign(s, &row, &blocker.waiter));
    for (; n < 3000 && e == ERR_OK; n++) {
        waiters[n] = (struct crowd_waiter){{crowd_done}, &left, ERR_INTERNAL, 0};
        e = store_registration_assign(s, &row, &waiters[n].waiter);
    }
    assert_int_equal(e, ERR_UNAVAILABLE);
    assert_true(n > 500);
    assert_int_equal(waiters[n - 1].calls, 0);
    atomic_store(&hold, 0);
    store_close(s);
    assert_int_equal(blocker.outcome, ERR_OK);
    assert_int_equal(waiters[n - 1].calls, 0);
    assert_int_equal(waiters[0].outcome, ERR_CONFLICT);
    assert_int_equal(atomic_load(&left), -(int)(n - 1));
}

/* Forked before anything is open: a database does not survive a fork. Begins when told. */
static pid_t fork_importer(int *ret_go)
{
    int go[2];
    char byte;

    assert_int_equal(pipe(go), 0);
    pid_t child = fork();
    if (child == 0) {
        close(go[1]);
        if (read(go[0], &byte, 1) != 1)
            _exit(1);
        for (unsigned n = 1000; n < 1040; n++) {
            struct store_enrollment row = rows_enrollment(n);
            rows_enroll(dir, &row);
        }
        _exit(0);
    }
    close(go[0]);
    *ret_go = go[1];
    return child;
}

static void another_process_imports_while_we_serve(void **state)
{
    uint64_t before = 0, after = 0;
    int go = -1, status = 1;

    (void)state;
    rows_create(dir, 100);
    pid_t child = fork_importer(&go);
    struct store *s = open_store(STORE_SERVE);
    struct store_reader *r = open_reader(s);
    assert_err(ERR_OK, store_reader_version(r, &before));
    assert_int_equal(write(go, "g", 1), 1);
    for (unsigned n = 0; n < 100; n++) {
        struct store_registration row = rows_registration(n, 1);
        assert_err(ERR_OK, rows_assign(s, &row));
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    close(go);
    assert_err(ERR_OK, store_reader_version(r, &after));
    assert_true(before != after);
    assert_int_equal(count_enrollments(s), 140);
    struct store_registration imported = rows_registration(1039, 1);
    assert_err(ERR_OK, rows_assign(s, &imported));
    store_reader_close(r);
    store_close(s);
}

#define test(f) cmocka_unit_test_setup_teardown(f, make_directory, remove_directory)

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
        test(assigns_by_compare_and_set),
        test(assigns_no_impossible_generation),
        test(assigns_only_to_the_enrolled),
        test(registrations_outlive_the_process),
        test(finds_devices_for_the_hub),
        test(one_wins_each_race),
        test(a_group_tells_each_his_own),
        test(a_full_queue_says_so),
        test(another_process_imports_while_we_serve),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
