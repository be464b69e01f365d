/* The operator's changes side by side: in lists, in groups, against each other, beside an importer. */
#include "store_change_unit.h"
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/prctl.h>
#include <sys/wait.h>

/* ---- lists, groups and races ---- */

static void a_list_is_tried_one_by_one(void **state)
{
    struct store_change list[STORE_CHANGES_MAX];
    struct store_enrollment found;

    (void)state;
    rows_create(dir, 5);
    struct store *s = open_store(STORE_SERVE);
    struct store_reader *r = open_reader(s);
    for (unsigned n = 0; n < STORE_CHANGES_MAX; n++) {
        struct store_enrollment row = rows_enrollment(n);
        list[n] = put_of(&row, STORE_MATCH_ABSENT);
    }
    list[8] = removal_of(STORE_ENROLLMENT, &list[7].id, STORE_MATCH_ANY); /* after it was put */
    list[9] = group_of("a-group", STORE_MATCH_ABSENT);
    assert_ok(rows_change_list(s, list, STORE_CHANGES_MAX));
    for (unsigned n = 0; n < STORE_CHANGES_MAX; n++)
        assert_err(n < 5 ? ERR_DUPLICATE : ERR_OK, list[n].outcome);
    assert_err(ERR_ABSENT, store_enrollment_find(r, &list[7].id, &found));
    assert_ok(store_enrollment_find(r, &list[6].id, &found));
    assert_int_equal(count_rows(ENROLLMENTS_FILE, "SELECT count(*) FROM enrollment"), 7);
    store_reader_close(r);
    store_close(s);
}

#define CROWD 300
struct crowd {
    struct store_waiter waiter;
    struct store_change change;
    struct store_profile *profile;
    atomic_int *left;
    int calls;
    enum err outcome;
};
static struct crowd crowd[CROWD];
static struct store_profile crowd_profiles[CROWD];

static void crowd_done(struct store_waiter *waiter, enum err outcome)
{
    struct crowd *c = (struct crowd *)waiter;

    c->calls++;
    c->outcome = outcome;
    atomic_fetch_sub(c->left, 1);
}

/* Every third one fails half way: its profile is new, its key another's. Closing commits what waits. */
static void a_failing_neighbour_leaves_the_others_alone(void **state)
{
    atomic_int left = CROWD;

    (void)state;
    rows_create(dir, 1);
    struct store *s = open_store(STORE_SERVE);
    for (unsigned n = 0; n < CROWD; n++) {
        struct store_enrollment row = rows_enrollment(n + 1);
        if (n % 3 == 0)
            memcpy(row.ek_hash, rows_enrollment(0).ek_hash, sizeof row.ek_hash);
        (void)snprintf(crowd_profiles[n].document, 20, "{\"n\":%u}", n);
        crowd[n] = (struct crowd){.waiter = {crowd_done}, .left = &left,
                                  .change = put_of(&row, STORE_MATCH_ABSENT)};
        crowd[n].change.profile = &crowd_profiles[n];
        crowd[n].change.credential = SPAN_LITERAL("secret");
        assert_ok(store_change_apply(s, &crowd[n].change, 1, &crowd[n].waiter));
    }
    store_close(s);
    assert_int_equal(atomic_load(&left), 0);
    for (unsigned n = 0; n < CROWD; n++) {
        assert_int_equal(crowd[n].calls, 1);
        assert_err(ERR_OK, crowd[n].outcome);
        assert_err(n % 3 == 0 ? ERR_DUPLICATE : ERR_OK, crowd[n].change.outcome);
    }
    assert_int_equal(count_rows(ENROLLMENTS_FILE, "SELECT count(*) FROM enrollment"), 1 + CROWD * 2 / 3);
    assert_int_equal(count_rows(ENROLLMENTS_FILE, "SELECT count(*) FROM credential"), CROWD * 2 / 3);
    assert_int_equal(count_rows(ENROLLMENTS_FILE, "SELECT sum(uses) FROM profile"), CROWD * 2 / 3);
    assert_int_equal(count_rows(ENROLLMENTS_FILE, "SELECT count(*) FROM profile"), CROWD * 2 / 3);
    assert_int_equal(count_rows(ENROLLMENTS_FILE, "SELECT count(*) FROM audit WHERE outcome = 'OK'"),
                     CROWD * 2 / 3);
    assert_int_equal(
        count_rows(ENROLLMENTS_FILE, "SELECT count(*) FROM audit WHERE outcome = 'DUPLICATE'"),
        CROWD / 3);
}

static void a_commit_that_fails_fails_for_all(void **state)
{
    struct store_change list[2];
    struct store_enrollment row = rows_enrollment(9);

    (void)state;
    rows_create(dir, 1);
    struct store *s = open_store(STORE_SERVE);
    sqlite3 *other = back_door_open(ENROLLMENTS_FILE);
    back_door_run(other, "BEGIN IMMEDIATE");
    list[0] = put_of(&row, STORE_MATCH_ANY);
    list[1] = removal_of(STORE_ENROLLMENT, &row.id, STORE_MATCH_ANY);
    assert_err(ERR_STORE_BUSY, rows_change_list(s, list, 2));
    assert_err(ERR_STORE_BUSY, list[0].outcome);
    assert_err(ERR_STORE_BUSY, list[1].outcome);
    back_door_run(other, "ROLLBACK");
    assert_ok(rows_change_list(s, list, 2));
    assert_err(ERR_OK, list[0].outcome);
    assert_err(ERR_OK, list[1].outcome);
    (void)sqlite3_close(other);
    store_close(s);
}

static void a_full_queue_says_so(void **state)
{
    static struct crowd more[3000];
    atomic_int left = 0;
    struct store_enrollment row = rows_enrollment(0);
    int n = 0;
    enum err e = ERR_OK;

    (void)state;
    rows_create(dir, 1);
    struct store *s = open_store(STORE_SERVE);
    sqlite3 *other = back_door_open(ENROLLMENTS_FILE);
    back_door_run(other, "BEGIN IMMEDIATE"); /* holds the writer */
    for (; n < 3000 && e == ERR_OK; n++) {
        more[n] = (struct crowd){.waiter = {crowd_done}, .left = &left,
                                 .change = put_of(&row, STORE_MATCH_ANY)};
        e = store_change_apply(s, &more[n].change, 1, &more[n].waiter);
    }
    assert_err(ERR_UNAVAILABLE, e);
    back_door_run(other, "ROLLBACK");
    (void)sqlite3_close(other);
    store_close(s);
    assert_int_equal(more[n - 1].calls, 0);
    assert_int_equal(-atomic_load(&left), n - 1);
}

#define RACERS 4
#define RACE_ROUNDS 100
struct race {
    struct store *store;
    atomic_int won, lost;
};

static void *race_run(void *arg)
{
    struct race *race = arg;
    struct store_enrollment row = rows_enrollment(1);
    struct store_reader *r = NULL;

    if (store_reader_open(race->store, &r) != ERR_OK)
        return race;
    for (int i = 0; i < RACE_ROUNDS; i++) {
        struct store_change c = put_of(&row, STORE_MATCH_REVISION);
        if (store_enrollment_find(r, &row.id, &c.enrollment) != ERR_OK)
            return race;
        c.number = c.enrollment.number;
        c.revision = c.enrollment.revision;
        enum err e = rows_change(race->store, &c);
        if (e != ERR_OK && e != ERR_ETAG)
            return race;
        atomic_fetch_add(e == ERR_OK ? &race->won : &race->lost, 1);
    }
    store_reader_close(r);
    return NULL;
}

/* Each revision that exists was made by exactly one. */
static void one_writer_wins_each_revision(void **state)
{
    struct race race = {0};
    pthread_t threads[RACERS];
    struct store_enrollment found;
    struct regid id = rows_enrollment(1).id;

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
    assert_ok(store_enrollment_find(r, &id, &found));
    assert_int_equal(found.revision, 1 + atomic_load(&race.won));
    assert_int_equal(atomic_load(&race.won) + atomic_load(&race.lost), RACERS * RACE_ROUNDS);
    assert_true(atomic_load(&race.won) >= RACE_ROUNDS);
    store_reader_close(r);
    store_close(race.store);
}

/* ---- beside an importer ---- */

static void import_until_told(int stop)
{
    struct store *s = NULL;
    struct store_batch *batch = NULL;
    enum store_put outcome;
    struct regid other;
    char byte;

    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (store_open(dir, STORE_IMPORT, &s, NULL) != ERR_OK)
        _exit(2);
    for (unsigned n = 100000; n < 10000000;) {
        if (store_batch_begin(s, &batch) != ERR_OK)
            _exit(3);
        for (unsigned end = n + 200; n < end; n++) {
            struct store_enrollment row = rows_enrollment(n);
            if (store_batch_put(batch, &row, &outcome, &other) != ERR_OK ||
                outcome != STORE_PUT_NEW)
                _exit(4);
        }
        if (store_batch_commit(batch) != ERR_OK)
            _exit(5);
        if (read(stop, &byte, 1) == 1)
            break;
    }
    store_close(s);
    _exit(0);
}

static void both_get_on_beside_an_importer(void **state)
{
    int told[2], status = -1;

    (void)state;
    rows_create(dir, 1);
    assert_int_equal(pipe2(told, O_NONBLOCK), 0);
    pid_t child = fork();
    if (child == 0)
        import_until_told(told[0]);
    while (count_rows(ENROLLMENTS_FILE, "SELECT count(*) FROM enrollment") < 200)
        (void)usleep(1000);
    struct store *s = open_store(STORE_SERVE);
    for (unsigned n = 1; n <= 200; n++) {
        struct store_enrollment row = rows_enrollment(n);
        struct store_change c = put_of(&row, STORE_MATCH_ABSENT);
        assert_ok(rows_change(s, &c));
    }
    assert_int_equal(write(told[1], "s", 1), 1);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    store_close(s);
    assert_int_equal(close(told[0]) | close(told[1]), 0);
    assert_int_equal(
        count_rows(ENROLLMENTS_FILE, "SELECT count(*) FROM audit WHERE outcome = 'OK'"), 200);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        test(a_list_is_tried_one_by_one),
        test(a_failing_neighbour_leaves_the_others_alone),
        test(a_commit_that_fails_fails_for_all),
        test(a_full_queue_says_so),
        test(one_writer_wins_each_revision),
        test(both_get_on_beside_an_importer),
    };

    prefer_memory();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
