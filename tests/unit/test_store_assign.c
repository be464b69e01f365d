/* The store as its callers see it: registrations are assigned once, to whom they may be, and told so
 * when they are durable. */
#include "store_unit.h"
#include <pthread.h>
#include <stdatomic.h>
#include <sys/wait.h>
#include <unistd.h>

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

static uint64_t count_enrollments(struct store *s)
{
    struct store_reader *r = open_reader(s);
    uint64_t count = 0;

    assert_err(ERR_OK, store_enrollment_count(r, &count));
    store_reader_close(r);
    return count;
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

int main(void)
{
    const struct CMUnitTest tests[] = {
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
