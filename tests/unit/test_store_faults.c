/* The store where values are hostile, the disk is full or read-only, or others hold the lock: a clear
 * error, nothing lost, and all well again when the cause is gone. */
#include "store_back_door.h"
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- T20 ---- */

static void t20_values_are_never_sql(void **state)
{
    static const char *const texts[] = {
        "x' OR '1'='1", "'; DROP TABLE registration; --", "a\"b`c[d]", "%s%n", "?1", ":id", "\\",
        "\xc3\x28", "x'); DELETE FROM enrollment; --"};
    struct store_registration found;
    struct store_enrollment enrollment;
    uint64_t count = 0;

    (void)state;
    rows_create(dir, 2);
    struct store *s = open_store(STORE_SERVE);
    struct store_reader *r = open_reader(s);
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        struct store_registration row = rows_registration(0, i + 1);
        struct regid id = rows_id(texts[i]);
        (void)snprintf(row.hub, sizeof row.hub, "%s", texts[i]);
        (void)snprintf(row.operation_id, sizeof row.operation_id, "%s", texts[i]);
        (void)snprintf(row.etag, sizeof row.etag, "%s", texts[i]);
        assert_ok(rows_assign(s, &row));
        assert_ok(store_registration_find(r, &row.id, &found));
        assert_string_equal(found.hub, texts[i]);
        assert_string_equal(found.operation_id, texts[i]);
        assert_string_equal(found.etag, texts[i]);
        assert_err(ERR_ABSENT, store_enrollment_find(r, &id, &enrollment));
        assert_err(ERR_ABSENT, store_registration_find(r, &id, &found));
        assert_err(ERR_ABSENT, store_device_find(r, &id, &found, &enrollment));
        row.id = id;
        row.generation = 1;
        assert_err(ERR_CONFLICT, rows_assign(s, &row));
    }
    assert_ok(store_enrollment_count(r, &count));
    assert_int_equal(count, 2);
    assert_ok(store_registration_count(r, &count));
    assert_int_equal(count, 1);
    store_reader_close(r);
    store_close(s);
}

/* ---- T21: full, read-only, locked ---- */

/* A small file system of our own. False, and loudly, where that is not allowed. */
static bool mount_small(unsigned long more_flags)
{
    if (unshare(CLONE_NEWNS) == 0 && mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
        mount("tmpfs", dir, "tmpfs", more_flags, "size=2m") == 0)
        return true;
    print_error("SKIPPED: a small tmpfs cannot be mounted (%s): run as root to test a full disk\n",
                strerror(errno));
    return false;
}

static void fill_disk(void)
{
    static const char block[1024];
    int fd = open(path_of("ballast"), O_WRONLY | O_CREAT | O_APPEND, 0600);

    assert_true(fd >= 0);
    while (write(fd, block, sizeof block) == (ssize_t)sizeof block)
        ;
    close(fd);
}

static void assert_all_there(struct store *s, unsigned assigned)
{
    struct store_reader *r = open_reader(s);
    struct store_registration found;
    uint64_t count = 0;

    for (unsigned n = 0; n < assigned; n++) {
        struct regid id = rows_enrollment(n).id;
        assert_ok(store_registration_find(r, &id, &found));
    }
    assert_ok(store_registration_count(r, &count));
    assert_int_equal(count, assigned);
    store_reader_close(r);
}

static void t21_a_full_disk_loses_nothing_and_recovers(void **state)
{
    struct store_registration row;
    unsigned n = 0;
    enum err e = ERR_OK;

    (void)state;
    if (!mount_small(0))
        skip();
    rows_create(dir, 1000);
    struct store *s = open_store(STORE_SERVE);
    for (; n < 10; n++) {
        row = rows_registration(n, 1);
        assert_ok(rows_assign(s, &row));
    }
    fill_disk();
    for (; n < 1000 && e == ERR_OK; n += e == ERR_OK) {
        row = rows_registration(n, 1);
        e = rows_assign(s, &row);
    }
    assert_err(ERR_STORE_FULL, e);
    assert_err(ERR_STORE_FULL, rows_assign(s, &row));
    assert_all_there(s, n);
    assert_false(store_is_broken(s));
    assert_int_equal(unlink(path_of("ballast")), 0);
    assert_ok(rows_assign(s, &row));
    assert_all_there(s, n + 1);
    store_close(s);
    s = open_store(STORE_SERVE);
    assert_ok(store_check(s, NULL));
    assert_all_there(s, n + 1);
    store_close(s);
    assert_int_equal(umount(dir), 0);
}

static enum err import_some(struct store *s, unsigned from)
{
    struct store_batch *batch = NULL;
    enum store_put outcome;
    struct regid other;
    enum err e = ERR_OK;

    assert_ok(store_batch_begin(s, &batch));
    for (unsigned n = from; n < from + STORE_BATCH_MAX && e == ERR_OK; n++) {
        struct store_enrollment row = rows_enrollment(n);
        e = store_batch_put(batch, &row, &outcome, &other);
        assert_true(e != ERR_OK || outcome == STORE_PUT_NEW);
    }
    enum err committed = store_batch_commit(batch);
    return e != ERR_OK ? e : committed;
}

static void t21_an_import_into_a_full_disk_keeps_whole_batches(void **state)
{
    unsigned batches = 0;
    uint64_t count = 0;
    enum err e = ERR_OK;

    (void)state;
    if (!mount_small(0))
        skip();
    rows_create(dir, 0);
    struct store *s = open_store(STORE_IMPORT);
    struct store_reader *r = open_reader(s);
    for (; batches < 20 && e == ERR_OK; batches += e == ERR_OK)
        e = import_some(s, batches * STORE_BATCH_MAX);
    assert_err(ERR_STORE_FULL, e);
    assert_ok(store_enrollment_count(r, &count));
    assert_int_equal(count, batches * STORE_BATCH_MAX);
    store_reader_close(r);
    store_close(s);
    s = open_store(STORE_READ);
    assert_ok(store_check(s, NULL));
    store_close(s);
    assert_int_equal(umount(dir), 0);
}

static void remove_databases(void)
{
    static const char *const names[] = {ENROLLMENTS_FILE, REGISTRATIONS_FILE};
    char tail[64];

    for (size_t i = 0; i < 2; i++)
        for (int k = 0; k < 3; k++) {
            (void)snprintf(tail, sizeof tail, "%s%s", names[i], k == 0 ? "" : k == 1 ? "-wal" : "-shm");
            (void)unlink(path_of(tail));
        }
    assert_int_equal(rmdir(path_of("db")), 0);
}

static enum err load_rows(struct store *s, unsigned count, bool *ret_ended)
{
    struct store_load *l;
    struct store_reason why = {""};
    enum err e = store_load_begin(s, &l, &why);

    assert_ok(e);
    for (unsigned n = 0; n < count && e == ERR_OK; n++) {
        struct store_enrollment row = rows_enrollment(n);
        e = store_load_put(l, &row);
    }
    if (e != ERR_OK) {
        store_load_abandon(l);
        return e;
    }
    e = store_load_commit(l, &why);
    *ret_ended = true;
    if (e != ERR_OK && why.text[0] == 0)
        fail_msg("%s without a reason", err_name(e));
    return e;
}

/* Wherever it is that the space ends: among the rows, the sorted keys or the indexes. */
static void t21_a_first_load_into_a_full_disk_leaves_nothing(void **state)
{
    unsigned among_rows = 0, in_the_end = 0;

    (void)state;
    if (!mount_small(0))
        skip();
    for (unsigned count = 1000; count < 8000; count += 150) {
        rows_create(dir, 0);
        struct store *s = open_store(STORE_IMPORT);
        bool ended = false;
        enum err e = load_rows(s, count, &ended);
        if (e != ERR_OK) {
            among_rows += !ended;
            in_the_end += ended;
            assert_err(ERR_STORE_FULL, e);
            assert_int_equal(access(path_of(ENROLLMENTS_FILE ".load"), F_OK), -1);
            assert_ok(load_rows(s, 100, &ended)); /* and there is space again */
        }
        store_close(s);
        s = open_store(STORE_READ);
        assert_ok(store_check(s, NULL));
        store_close(s);
        remove_databases();
    }
    assert_true(among_rows > 0 && in_the_end > 0);
    assert_int_equal(umount(dir), 0);
}

static void t21_read_only_is_said(void **state)
{
    struct store *s = NULL;
    struct store_reason reason = {""};

    (void)state;
    if (!mount_small(0))
        skip();
    rows_create(dir, 1);
    assert_int_equal(mount("tmpfs", dir, "tmpfs", MS_REMOUNT | MS_RDONLY, "size=2m"), 0);
    assert_err(ERR_STORE, store_open(dir, STORE_SERVE, &s, &reason));
    assert_non_null(strstr(reason.text, "enrollments.db"));
    assert_err(ERR_STORE, store_open(dir, STORE_IMPORT, &s, &reason));
    assert_int_equal(mount("tmpfs", dir, "tmpfs", MS_REMOUNT, "size=2m"), 0);
    store_close(open_store(STORE_SERVE));
    assert_int_equal(umount(dir), 0);
}

static void t21_a_locked_database_is_busy_for_a_while(void **state)
{
    struct store_registration row = rows_registration(0, 1), found;
    struct store_enrollment enrollment;

    (void)state;
    rows_create(dir, 2);
    struct store *s = open_store(STORE_SERVE), *importing = open_store(STORE_IMPORT);
    struct store_reader *r = open_reader(s);
    sqlite3 *registrations = back_door_open(REGISTRATIONS_FILE);
    sqlite3 *enrollments = back_door_open(ENROLLMENTS_FILE);
    back_door_run(registrations, "BEGIN IMMEDIATE");
    back_door_run(enrollments, "BEGIN IMMEDIATE");
    assert_err(ERR_STORE_BUSY, rows_assign(s, &row));
    assert_err(ERR_ABSENT, store_registration_find(r, &row.id, &found));
    assert_ok(store_enrollment_find(r, &row.id, &enrollment));
    assert_err(ERR_STORE_BUSY, store_enrollment_set_enabled(importing, &row.id, false, 1));
    assert_err(ERR_STORE_BUSY, import_some(importing, 100));
    assert_false(store_is_broken(s));
    back_door_run(registrations, "ROLLBACK");
    back_door_run(enrollments, "ROLLBACK");
    assert_ok(rows_assign(s, &row));
    assert_ok(import_some(importing, 100));
    sqlite3_close(registrations);
    sqlite3_close(enrollments);
    store_reader_close(r);
    store_close(importing);
    store_close(s);
}

/* Somebody looks at the table by hand and goes for lunch. */
static void a_long_reader_holds_up_nobody(void **state)
{
    struct store_registration row;

    (void)state;
    rows_create(dir, 100);
    sqlite3 *db = back_door_open(REGISTRATIONS_FILE);
    back_door_run(db, "BEGIN; SELECT count(*) FROM registration");
    struct store *s = open_store(STORE_SERVE);
    for (unsigned n = 0; n < 100; n++) {
        row = rows_registration(n, 1);
        assert_ok(rows_assign(s, &row));
    }
    assert_all_there(s, 100);
    store_close(s);
    sqlite3_close(db);
    s = open_store(STORE_READ);
    assert_all_there(s, 100);
    store_close(s);
}

/* ---- beside others ---- */

/* The hub reads what a service left behind that was killed before it moved its log. */
static void reads_what_a_killed_service_left(void **state)
{
    int status = 0;

    (void)state;
    rows_create(dir, 5);
    pid_t child = fork();
    if (child == 0) {
        struct store *s = NULL;
        struct store_registration row = rows_registration(3, 1);
        if (store_open(dir, STORE_SERVE, &s, NULL) != ERR_OK || rows_assign(s, &row) != ERR_OK)
            _exit(1);
        (void)raise(SIGKILL);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    struct store *s = open_store(STORE_READ);
    struct store_reader *r = open_reader(s);
    struct store_registration found;
    struct store_enrollment enrollment;
    struct regid id = rows_enrollment(3).id;
    assert_ok(store_device_find(r, &id, &found, &enrollment));
    assert_int_equal(found.generation, 1);
    store_reader_close(r);
    store_close(s);
}

/* Who steals the databases has public keys and names. A new column is looked at here first. */
static void t26_stolen_databases_hold_nothing_secret(void **state)
{
    static const struct {
        const char *file, *columns;
    } tables[] = {
        {ENROLLMENTS_FILE,
         "audit(number,at_s,who,what,object,id,outcome,reason,hash) "
         "audit_end(one,number,hash,signature) certificate(enrollment,der) "
         /* wrapped before they come to the store */
         "credential(enrollment,value) "
         "enrollment(number,id,device_id,ek_hash,pin_srk,enabled,ek_grade,attestation,revision,profile,"
         "created_s,updated_s,ek,srk) "
         "enrollment_group(number,id,attestation,enabled,profile,revision,created_s,updated_s) "
         "group_credential(enrollment_group,value) "
         "profile(number,tags,hubs,allocation,twin,document,hash,uses) spent(one,number) "
         "sqlite_sequence(name,seq)"},
        {REGISTRATIONS_FILE,
         "audit(number,at_s,who,what,object,id,outcome,reason,hash) "
         "audit_end(one,number,hash,signature) "
         "registration(number,id,device_id,generation,ek_hash,hub,operation_id,"
         /* device_keys: sealed before they come to the store */
         "challenge_window,etag,created_s,updated_s,srk,group_id,deleted,device_keys,payload) "
         "sqlite_sequence(name,seq)"},
    };

    (void)state;
    rows_create(dir, 1);
    for (size_t i = 0; i < 2; i++) {
        sqlite3 *db = back_door_open(tables[i].file);
        sqlite3_stmt *statement = NULL;
        assert_int_equal(sqlite3_prepare_v2(db,
                             "SELECT group_concat(shape, ' ') FROM (SELECT s.name || '(' || "
                             "group_concat(c.name, ',') || ')' AS shape FROM sqlite_schema s, "
                             "pragma_table_info(s.name) c WHERE s.type = 'table' GROUP BY s.name)",
                             -1, &statement, NULL), SQLITE_OK);
        assert_int_equal(sqlite3_step(statement), SQLITE_ROW);
        assert_string_equal((const char *)sqlite3_column_text(statement, 0), tables[i].columns);
        sqlite3_finalize(statement);
        sqlite3_close(db);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        test(t20_values_are_never_sql),
        test(t21_a_full_disk_loses_nothing_and_recovers),
        test(t21_an_import_into_a_full_disk_keeps_whole_batches),
        test(t21_a_first_load_into_a_full_disk_leaves_nothing),
        test(t21_read_only_is_said),
        test(t21_a_locked_database_is_busy_for_a_while),
        test(a_long_reader_holds_up_nobody),
        test(reads_what_a_killed_service_left),
        test(t26_stolen_databases_hold_nothing_secret),
    };

    if (access("/dev/shm", W_OK) == 0) /* many small databases, none of them for the power cut */
        (void)setenv("TMPDIR", "/dev/shm", 0);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
