/* The store over databases that are foreign, damaged or of another version: a clear error, nothing
 * changed, and never a crash. */
#include "store_back_door.h"
#include <fcntl.h>
#include <stdlib.h>
#include <store/sqlite/schema.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- versions ---- */

static void assert_refused(enum store_mode mode, enum err expected, const char *word)
{
    struct store *s = NULL;
    struct store_reason reason = {""};

    assert_err(expected, store_open(dir, mode, &s, &reason));
    assert_null(s);
    if (strstr(reason.text, word) == NULL)
        fail_msg("the reason does not say \"%s\": %s", word, reason.text);
}

static const enum store_mode all_modes[] = {STORE_SERVE, STORE_IMPORT, STORE_READ};

static void refuses_what_a_newer_version_made(void **state)
{
    static const char *const files[] = {ENROLLMENTS_FILE, REGISTRATIONS_FILE};

    (void)state;
    rows_create(dir, 1);
    for (size_t file = 0; file < 2; file++) {
        back_door(files[file], "PRAGMA user_version = 1000");
        for (size_t i = 0; i < 3; i++)
            assert_refused(all_modes[i], ERR_STORE_SCHEMA, "newer");
        back_door(files[file], file == 0 ? "PRAGMA user_version = 4" : "PRAGMA user_version = 2");
    }
    store_close(open_store(STORE_SERVE));
}

static const char *const two_steps[] = {
    "CREATE TABLE thing (id TEXT PRIMARY KEY) STRICT; PRAGMA application_id = 77;"
    "PRAGMA user_version = 1;",
    "ALTER TABLE thing ADD COLUMN colour TEXT NOT NULL DEFAULT 'grey'; PRAGMA user_version = 2;",
};
static const char *const one_wrong_step[] = {
    "CREATE TABLE thing (id TEXT PRIMARY KEY) STRICT; PRAGMA application_id = 77;"
    "PRAGMA user_version = 1;",
    "ALTER TABLE thing ADD COLUMN colour TEXT; PRAGMA user_version = 2; DROP TABLE nothing;",
};

static enum err settle(const struct schema *schema, enum schema_mode mode, int64_t *ret_version)
{
    struct store_reason reason;
    DB db = {0};

    assert_ok(db_open(&db, path_of("thing.db"), DB_WRITE, 1000, &reason));
    enum err e = schema_settle(&db, schema, mode, &reason);
    assert_ok(db_pragma_integer(&db, "PRAGMA user_version", ret_version, NULL));
    return e;
}

static void migrates_step_by_step(void **state)
{
    const struct schema older = {"thing.db", 77, two_steps, 1}, newer = {"thing.db", 77, two_steps, 2},
                        wrong = {"thing.db", 77, one_wrong_step, 2};
    int64_t version = -1;

    (void)state;
    close(open(path_of("thing.db"), O_CREAT | O_WRONLY, 0600));
    assert_err(ERR_STORE, settle(&older, SCHEMA_MIGRATE, &version)); /* empty is not older */
    assert_ok(settle(&older, SCHEMA_NEW, &version));
    assert_int_equal(version, 1);
    back_door("thing.db", "INSERT INTO thing VALUES ('one')");
    assert_err(ERR_STORE_SCHEMA, settle(&newer, SCHEMA_EXACT, &version));
    assert_err(ERR_STORE, settle(&wrong, SCHEMA_MIGRATE, &version));
    assert_int_equal(version, 1);
    back_door("thing.db", "UPDATE thing SET id = id"); /* nothing of the wrong step is left */
    assert_ok(settle(&newer, SCHEMA_MIGRATE, &version));
    assert_int_equal(version, 2);
    back_door("thing.db", "INSERT INTO thing SELECT id || colour, 'red' FROM thing WHERE id = 'one'");
    assert_ok(settle(&newer, SCHEMA_MIGRATE, &version));
    assert_err(ERR_STORE_SCHEMA, settle(&older, SCHEMA_MIGRATE, &version));
    assert_int_equal(version, 2);
}

/* ---- foreign and damaged files ---- */

static void overwrite(const char *file, const void *bytes, size_t len)
{
    int fd = open(path_of(file), O_WRONLY | O_TRUNC | O_CREAT, 0600);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, bytes, len), len);
    close(fd);
}

static void refuses_foreign_files(void **state)
{
    uint8_t noise[5000];

    (void)state;
    rows_create(dir, 1);
    back_door(ENROLLMENTS_FILE, "PRAGMA application_id = 5");
    for (size_t i = 0; i < 3; i++)
        assert_refused(all_modes[i], ERR_STORE, "not Cradle's");
    overwrite(ENROLLMENTS_FILE, "", 0);
    for (size_t i = 0; i < 3; i++)
        assert_refused(all_modes[i], ERR_STORE, ENROLLMENTS_FILE);
    for (size_t i = 0; i < sizeof noise; i++)
        noise[i] = (uint8_t)(i * 7 + i / 256);
    overwrite(ENROLLMENTS_FILE, noise, sizeof noise);
    for (size_t i = 0; i < 3; i++)
        assert_refused(all_modes[i], ERR_STORE, ENROLLMENTS_FILE);
    assert_int_equal(unlink(path_of(ENROLLMENTS_FILE)), 0);
    assert_int_equal(mkdir(path_of(ENROLLMENTS_FILE), 0700), 0);
    for (size_t i = 0; i < 3; i++)
        assert_refused(all_modes[i], ERR_STORE, ENROLLMENTS_FILE);
}

/* A registrations file of zero bytes would make every generation 0 again: it is never taken for new. */
static void refuses_databases_swapped_or_missing(void **state)
{
    char aside[512];

    (void)state;
    rows_create(dir, 1);
    (void)snprintf(aside, sizeof aside, "%s", path_of("aside"));
    assert_int_equal(rename(path_of(REGISTRATIONS_FILE), aside), 0);
    for (size_t i = 0; i < 3; i++)
        assert_refused(all_modes[i], ERR_ABSENT, "registrations.db");
    back_door(ENROLLMENTS_FILE, "PRAGMA wal_checkpoint(TRUNCATE)");
    (void)snprintf(aside, sizeof aside, "%s", path_of(ENROLLMENTS_FILE));
    assert_int_equal(link(aside, path_of(REGISTRATIONS_FILE)), 0);
    for (size_t i = 0; i < 3; i++)
        assert_refused(all_modes[i], ERR_STORE, "not Cradle's registrations.db");
}

/* Without its own guards a table takes anything, as one damaged on purpose would. */
static const char *const no_guards =
    "PRAGMA ignore_check_constraints = ON; PRAGMA writable_schema = ON;"
    "UPDATE sqlite_schema SET sql = replace(replace(sql, 'STRICT, ', ''), ' STRICT', '');"
    "PRAGMA writable_schema = RESET;";

static const char *const bad_enrollments[] = {
    "UPDATE enrollment SET id = 'UPPER' || id",
    "UPDATE enrollment SET id = 'dash.'",
    "UPDATE enrollment SET id = ''",
    "UPDATE enrollment SET id = printf('%.*c', 129, 'a')",
    "UPDATE enrollment SET id = printf('%.*c', 100000, 'a')",
    "UPDATE enrollment SET id = CAST(x'61006162' AS TEXT)",
    "UPDATE enrollment SET id = x'6162'",
    "UPDATE enrollment SET device_id = ''",
    "UPDATE enrollment SET device_id = 'a''; DROP TABLE enrollment; --'",
    "UPDATE enrollment SET device_id = x'616263'",
    "UPDATE enrollment SET pin_srk = 2",
    "UPDATE enrollment SET pin_srk = 'yes'",
    "UPDATE enrollment SET enabled = -1",
    "UPDATE enrollment SET enabled = x'01'",
    "UPDATE enrollment SET created_s = 'yesterday'",
    "UPDATE enrollment SET updated_s = 1e300",
    "UPDATE enrollment SET ek = x''",
    "UPDATE enrollment SET ek = zeroblob(321)",
    "UPDATE enrollment SET ek = 'text'",
    "UPDATE enrollment SET srk = zeroblob(321)",
    "UPDATE enrollment SET srk = zeroblob(1000000)",
    "UPDATE enrollment SET srk = 7",
};
static const char *const bad_registrations[] = {
    "UPDATE registration SET device_id = 'Upper'",
    "UPDATE registration SET device_id = x'61'",
    "UPDATE registration SET generation = 0",
    "UPDATE registration SET generation = -1",
    "UPDATE registration SET generation = 'one'",
    "UPDATE registration SET ek_hash = zeroblob(31)",
    "UPDATE registration SET ek_hash = zeroblob(33)",
    "UPDATE registration SET ek_hash = 'text of thirty-two letters, just.'",
    "UPDATE registration SET hub = printf('%.*c', 254, 'h')",
    "UPDATE registration SET hub = CAST(x'6100' AS TEXT)",
    "UPDATE registration SET hub = x'61'",
    "UPDATE registration SET operation_id = printf('%.*c', 64, 'o')",
    "UPDATE registration SET etag = printf('%.*c', 40, 'e')",
    "UPDATE registration SET challenge_window = 'now'",
    "UPDATE registration SET created_s = 1.5",
    "UPDATE registration SET updated_s = x''",
    "UPDATE registration SET srk = zeroblob(321)",
    "UPDATE registration SET srk = 'text'",
};

static void damage(const char *file, const char *sql)
{
    sqlite3 *db = back_door_open(file);

    back_door_run(db, no_guards);
    back_door_run(db, "PRAGMA ignore_check_constraints = ON");
    back_door_run(db, sql);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

static void assert_check_fails(struct store *s, const char *sql)
{
    struct store_reason reason = {""};

    assert_err_of(sql, ERR_STORE, store_check(s, &reason));
    assert_string_not_equal(reason.text, "");
}

static void refuses_bad_enrollments(void **state)
{
    struct store_enrollment row = rows_enrollment(0), found;

    for (size_t i = 0; i < sizeof bad_enrollments / sizeof bad_enrollments[0]; i++) {
        make_directory(state);
        rows_create(dir, 1);
        damage(ENROLLMENTS_FILE, bad_enrollments[i]);
        struct store *s = open_store(STORE_SERVE);
        struct store_reader *r = open_reader(s);
        POISON(found);
        assert_err_of(bad_enrollments[i], ERR_STORE,
                      store_enrollment_find_by_key(r, row.ek_hash, &found));
        assert_poisoned(found);
        assert_check_fails(s, bad_enrollments[i]);
        store_reader_close(r);
        store_close(s);
        remove_directory(state);
    }
}

static void refuses_bad_registrations(void **state)
{
    struct store_registration row = rows_registration(0, 1), found;
    struct store_enrollment enrollment;

    for (size_t i = 0; i < sizeof bad_registrations / sizeof bad_registrations[0]; i++) {
        make_directory(state);
        rows_create(dir, 1);
        struct store *s = open_store(STORE_SERVE);
        assert_ok(rows_assign(s, &row));
        store_close(s);
        damage(REGISTRATIONS_FILE, bad_registrations[i]);
        s = open_store(STORE_SERVE);
        struct store_reader *r = open_reader(s);
        POISON(found);
        POISON(enrollment);
        assert_err_of(bad_registrations[i], ERR_STORE, store_registration_find(r, &row.id, &found));
        assert_err_of(bad_registrations[i], ERR_STORE,
                      store_device_find(r, &row.id, &found, &enrollment));
        assert_poisoned(found);
        assert_poisoned(enrollment);
        assert_check_fails(s, bad_registrations[i]);
        store_reader_close(r);
        store_close(s);
        remove_directory(state);
    }
}

/* ---- damaged pages ---- */

static void assert_bearable(enum err e)
{
    if (e != ERR_OK && e != ERR_ABSENT && e != ERR_STORE && e != ERR_STORE_SCHEMA)
        fail_msg("a damaged file gave %s", err_name(e));
}

static void look_at_everything(struct store *s)
{
    struct store_reader *r = NULL;
    struct store_enrollment enrollment;
    struct store_registration registration;
    uint64_t number;
    enum err e = store_reader_open(s, &r);

    assert_bearable(e);
    for (unsigned n = 0; e == ERR_OK && n < 60; n++) {
        struct store_enrollment row = rows_enrollment(n);
        assert_bearable(store_enrollment_find(r, &row.id, &enrollment));
        assert_bearable(store_enrollment_find_by_key(r, row.ek_hash, &enrollment));
        assert_bearable(store_device_find(r, &row.id, &registration, &enrollment));
    }
    if (e == ERR_OK)
        assert_bearable(store_registration_count(r, &number));
    assert_bearable(store_check(s, NULL));
    store_reader_close(r);
}

static void scribble(const char *file, unsigned seed)
{
    int fd = open(path_of(file), O_RDWR);
    struct stat info;
    uint8_t noise[16];

    assert_int_equal(fstat(fd, &info), 0);
    srand(seed);
    for (int i = 0; i < 1 + (int)(seed % 8); i++) {
        for (size_t k = 0; k < sizeof noise; k++)
            noise[k] = (uint8_t)rand();
        off_t at = 100 + rand() % (info.st_size - 200);
        assert_true(pwrite(fd, noise, 1 + (size_t)rand() % sizeof noise, at) > 0);
    }
    if (seed % 10 == 0)
        assert_int_equal(ftruncate(fd, info.st_size / 2 + (off_t)(seed % 4096)), 0);
    close(fd);
}

static void bears_damaged_pages(void **state)
{
    for (unsigned seed = 1; seed <= 60; seed++) {
        struct store *s = NULL;
        struct store_registration row = rows_registration(0, 1);
        make_directory(state);
        rows_create(dir, 60);
        s = open_store(STORE_SERVE);
        for (unsigned n = 0; n < 60; n++) {
            row = rows_registration(n, 1);
            assert_ok(rows_assign(s, &row));
        }
        store_close(s);
        store_close(open_store(STORE_SERVE));
        scribble(seed % 2 != 0 ? ENROLLMENTS_FILE : REGISTRATIONS_FILE, seed);
        s = NULL;
        enum err e = store_open(dir, seed % 3 != 0 ? STORE_SERVE : STORE_READ, &s, NULL);
        assert_bearable(e);
        if (e == ERR_OK)
            look_at_everything(s);
        store_close(s);
        remove_directory(state);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        test(refuses_what_a_newer_version_made),
        test(migrates_step_by_step),
        test(refuses_foreign_files),
        test(refuses_databases_swapped_or_missing),
        cmocka_unit_test(refuses_bad_enrollments),
        cmocka_unit_test(refuses_bad_registrations),
        cmocka_unit_test(bears_damaged_pages),
    };

    if (access("/dev/shm", W_OK) == 0) /* many small databases, none of them for the power cut */
        (void)setenv("TMPDIR", "/dev/shm", 0);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
