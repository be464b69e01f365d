/* Databases of the version before, with rows, are brought up to date and lose nothing. */
#include "store_change_unit.h"
#include <fcntl.h>
#include <sys/stat.h>

/* As version 2 of enrollments and version 1 of registrations were. */
static const char old_enrollments[] =
    "PRAGMA application_id = 0x4372456e; PRAGMA journal_mode = WAL;"
    "CREATE TABLE profile (number INTEGER PRIMARY KEY, tags TEXT NOT NULL, hubs TEXT NOT NULL,"
    " allocation TEXT NOT NULL, twin TEXT NOT NULL, UNIQUE (tags, hubs, allocation, twin)) STRICT;"
    "CREATE TABLE certificate (enrollment INTEGER PRIMARY KEY, der BLOB NOT NULL) STRICT;"
    "CREATE TABLE audit (number INTEGER PRIMARY KEY, at_s INTEGER NOT NULL, what TEXT NOT NULL,"
    " id TEXT NOT NULL, device_id TEXT NOT NULL, ek_hash BLOB NOT NULL, by_id TEXT NOT NULL,"
    " by_ek_hash BLOB NOT NULL) STRICT;"
    "CREATE TABLE enrollment (number INTEGER PRIMARY KEY,"
    " id TEXT NOT NULL CHECK (length(id) BETWEEN 1 AND 128),"
    " device_id TEXT CHECK (length(device_id) BETWEEN 1 AND 128),"
    " ek_hash BLOB NOT NULL CHECK (length(ek_hash) = 32),"
    " pin_srk INTEGER NOT NULL CHECK (pin_srk IN (0, 1)),"
    " enabled INTEGER NOT NULL CHECK (enabled IN (0, 1)),"
    " ek_grade INTEGER NOT NULL CHECK (ek_grade IN (0, 1, 2)), profile INTEGER NOT NULL,"
    " created_s INTEGER NOT NULL, updated_s INTEGER NOT NULL, ek BLOB NOT NULL, srk BLOB NOT NULL"
    ") STRICT;"
    "CREATE UNIQUE INDEX enrollment_id ON enrollment (id);"
    "CREATE UNIQUE INDEX enrollment_key ON enrollment (ek_hash);"
    "CREATE UNIQUE INDEX enrollment_device ON enrollment (device_id) WHERE device_id IS NOT NULL;"
    "PRAGMA user_version = 2;";
static const char old_registrations[] =
    "PRAGMA application_id = 0x43725265; PRAGMA journal_mode = WAL;"
    "CREATE TABLE registration (number INTEGER PRIMARY KEY,"
    " id TEXT NOT NULL UNIQUE CHECK (length(id) BETWEEN 1 AND 128),"
    " device_id TEXT NOT NULL CHECK (length(device_id) BETWEEN 1 AND 128),"
    " generation INTEGER NOT NULL CHECK (generation >= 1),"
    " ek_hash BLOB NOT NULL CHECK (length(ek_hash) = 32), hub TEXT NOT NULL,"
    " operation_id TEXT NOT NULL, challenge_window INTEGER NOT NULL, etag TEXT NOT NULL,"
    " created_s INTEGER NOT NULL, updated_s INTEGER NOT NULL, srk BLOB NOT NULL) STRICT;"
    "PRAGMA user_version = 1;";

static void make_old(const char *file, const char *schema, const char *rows)
{
    close(open(path_of(file), O_CREAT | O_WRONLY, 0600));
    sqlite3 *db = back_door_open(file);
    back_door_run(db, schema);
    back_door_run(db, rows);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

static void make_old_databases(void)
{
    assert_int_equal(mkdir(path_of("db"), 0700), 0);
    make_old(ENROLLMENTS_FILE, old_enrollments,
             "INSERT INTO profile VALUES (3, 'a', 'hub', 'static', '{}');"
             "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 500) "
             "INSERT INTO enrollment SELECT i * 2, 'id-' || i, iif(i % 2, NULL, 'pump-' || i),"
             " CAST(printf('%032d', i) AS BLOB), i % 3 = 0, i % 5 <> 0, i % 3, iif(i % 7, 0, 3),"
             " i, i + 1, x'0102', x'03' FROM n;"
             "INSERT INTO certificate VALUES (4, x'30');"
             "INSERT INTO audit VALUES (1, 77, 'replaced', 'old', 'pump', zeroblob(32), 'id-1',"
             " CAST(printf('%032d', 1) AS BLOB));");
    make_old(REGISTRATIONS_FILE, old_registrations,
             "INSERT INTO registration VALUES (5, 'id-1', 'id-1', 9,"
             " CAST(printf('%032d', 1) AS BLOB), 'hub.example.net', 'operation', 7, 'tag', 1, 2, x'03');");
}

static void assert_migrated(struct store_reader *r)
{
    struct store_enrollment row;
    struct store_profile profile;
    uint64_t after = 0;
    char id[20], device[20];

    for (unsigned i = 1; i <= 500; i++) {
        assert_ok(store_enrollment_next(r, after, &row));
        after = row.number;
        (void)snprintf(id, sizeof id, "id-%u", i);
        (void)snprintf(device, sizeof device, i % 2 != 0 ? "id-%u" : "pump-%u", i);
        assert_string_equal(row.id.text, id);
        assert_string_equal(row.device_id.text, device);
        assert_int_equal(row.number, i * 2);
        assert_int_equal(row.revision, 1);
        assert_int_equal(row.attestation, STORE_TPM);
        assert_int_equal(row.pin_srk, i % 3 == 0);
        assert_int_equal(row.enabled, i % 5 != 0);
        assert_int_equal(row.ek_grade, i % 3);
        assert_int_equal(row.profile, i % 7 != 0 ? 0 : 3);
        assert_int_equal(row.created_s, i);
        assert_int_equal(row.updated_s, i + 1);
        assert_int_equal(row.ek_len, 2);
        assert_int_equal(row.srk_len, 1);
    }
    assert_err(ERR_ABSENT, store_enrollment_next(r, after, &row));
    assert_ok(store_profile_find(r, 3, &profile));
    assert_string_equal(profile.hubs, "hub");
    assert_string_equal(profile.document, "");
}

static void the_version_before_with_its_rows(void **state)
{
    static const struct secret key = {.at = "the key of the audit log, 32 by.", .len = 32};
    struct store_registration registration;
    struct store_audit entry;
    struct store_audit_verdict verdict;
    struct regid id = rows_id("id-1"), second = rows_id("id-2");
    uint64_t number = 0;
    uint8_t bytes[100], hash[STORE_AUDIT_HASH_LEN];
    struct buf out = BUF_OVER(bytes);
    struct store *s = NULL;

    (void)state;
    make_old_databases();
    assert_err(ERR_STORE_SCHEMA, store_open(dir, STORE_READ, &s, NULL));
    s = open_store(STORE_SERVE);
    assert_ok(store_audit_key(s, &key));
    struct store_reader *r = open_reader(s);
    assert_migrated(r);
    assert_ok(store_certificate_find(r, &second, &out));
    assert_ok(store_registration_find(r, &id, &registration));
    assert_int_equal(registration.generation, 9);
    assert_int_equal(registration.number, 5);
    assert_false(registration.deleted);
    assert_string_equal(registration.group.text, "");
    registration.generation = 10;
    assert_ok(rows_assign(s, &registration));
    assert_ok(store_audit_next(r, STORE_LOG_ENROLLMENTS, 0, &number, &entry, hash));
    assert_string_equal(entry.what, "replaced");
    assert_string_equal(entry.id.text, "old");
    assert_non_null(strstr(entry.reason, "id-1"));
    assert_int_equal(entry.at_s, 77);
    assert_ok(store_audit_verify(r, STORE_LOG_ENROLLMENTS, &key, &verdict));
    assert_int_equal(verdict.wrong, 0);
    assert_int_equal(verdict.chained, 2);
    assert_ok(store_check(s, NULL));
    store_reader_close(r);
    store_close(s);
    store_close(open_store(STORE_READ));
}

/* What an import puts is still the same afterwards, profile and all. */
static void an_import_again_finds_its_rows(void **state)
{
    static struct store_profile profile = {.tags = "a", .hubs = "hub", .allocation = "static",
                                           .twin = "{}"};
    struct store_enrollment row = {.id = rows_id("id-7"), .device_id = rows_id("id-7"), .ek_len = 2,
                                   .srk_len = 1, .srk = {3}, .ek = {1, 2}, .enabled = true};
    struct store_batch *batch = NULL;
    enum store_put outcome;
    struct regid other;

    (void)state;
    make_old_databases();
    (void)snprintf((char *)row.ek_hash, sizeof row.ek_hash, "%031d", 0);
    row.ek_hash[30] = '0';
    row.ek_hash[31] = '7';
    struct store *s = open_store(STORE_IMPORT);
    assert_ok(store_batch_begin(s, &batch));
    assert_ok(store_batch_profile(batch, &profile, &row.profile));
    assert_int_equal(row.profile, 3);
    assert_ok(store_batch_put(batch, &row, &outcome, &other));
    assert_int_equal(outcome, STORE_PUT_SAME);
    assert_ok(store_batch_commit(batch));
    store_close(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        test(the_version_before_with_its_rows),
        test(an_import_again_finds_its_rows),
    };

    prefer_memory();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
