/* The audit log: what goes into it, and that nothing can be taken out, altered or moved unseen. */
#include "store_change_unit.h"

static const struct secret key = {.at = "the key of the audit log, 32 by.", .len = 32};
static const struct secret other_key = {.at = "another key, of 32 bytes as well", .len = 32};

static struct store *open_keyed(enum store_mode mode)
{
    struct store *s = open_store(mode);

    assert_ok(store_audit_key(s, &key));
    return s;
}

static struct store_audit_verdict verdict_of(enum store_log log, const struct secret *with)
{
    struct store_audit_verdict v;
    struct store *s = open_store(STORE_READ);
    struct store_reader *r = open_reader(s);

    POISON(v);
    assert_ok(store_audit_verify(r, log, with, &v));
    store_reader_close(r);
    store_close(s);
    return v;
}

static void assert_sound(enum store_log log, uint64_t chained, uint64_t unchained)
{
    struct store_audit_verdict v = verdict_of(log, &key);

    assert_int_equal(v.wrong, 0);
    assert_true(v.sealed);
    assert_int_equal(v.chained, chained);
    assert_int_equal(v.unchained, unchained);
}

static struct store_audit entry_of(const char *reason)
{
    struct store_audit entry = {.who = "provisioningserviceowner", .what = "get", .object = "enrollment",
                                .id = rows_id("nobody"), .outcome = ERR_UNAUTHORIZED, .at_s = NOW_S};

    (void)snprintf(entry.reason, sizeof entry.reason, "%s", reason);
    return entry;
}

static void append(struct store *s, const char *reason)
{
    struct store_audit entry = entry_of(reason);

    assert_ok(store_audit_append(s, &entry));
}

/* ---- what is written ---- */

static void changes_and_refusals_are_written_down(void **state)
{
    struct store_enrollment row = rows_enrollment(1);
    struct store_audit entry;
    uint64_t number = 0;
    uint8_t hash[STORE_AUDIT_HASH_LEN];

    (void)state;
    rows_create(dir, 1);
    struct store *s = open_keyed(STORE_SERVE);
    struct store_change c = put_of(&row, STORE_MATCH_ABSENT);
    c.audit.id = row.id;
    assert_ok(rows_change(s, &c));
    assert_err(ERR_DUPLICATE, rows_change(s, &c));
    append(s, "expired");
    store_close(s);
    s = open_store(STORE_READ);
    struct store_reader *r = open_reader(s);
    assert_ok(store_audit_next(r, STORE_LOG_ENROLLMENTS, 0, &number, &entry, hash));
    assert_int_equal(number, 1);
    assert_string_equal(entry.what, "begin");
    assert_ok(store_audit_next(r, STORE_LOG_ENROLLMENTS, 1, &number, &entry, hash));
    assert_int_equal(number, 2);
    assert_string_equal(entry.who, "tester");
    assert_string_equal(entry.what, "change");
    assert_string_equal(entry.object, "thing");
    assert_string_equal(entry.id.text, row.id.text);
    assert_int_equal(entry.at_s, NOW_S);
    assert_err(ERR_OK, entry.outcome);
    assert_string_equal(entry.reason, "");
    assert_ok(store_audit_next(r, STORE_LOG_ENROLLMENTS, 2, &number, &entry, hash));
    assert_err(ERR_DUPLICATE, entry.outcome);
    assert_non_null(strstr(entry.reason, row.id.text));
    assert_ok(store_audit_next(r, STORE_LOG_ENROLLMENTS, 3, &number, &entry, hash));
    assert_err(ERR_UNAUTHORIZED, entry.outcome);
    assert_string_equal(entry.reason, "expired");
    POISON(entry);
    assert_err(ERR_ABSENT, store_audit_next(r, STORE_LOG_ENROLLMENTS, 4, &number, &entry, hash));
    assert_poisoned(entry);
    store_reader_close(r);
    store_close(s);
    assert_sound(STORE_LOG_ENROLLMENTS, 4, 0);
}

static void each_database_has_its_own(void **state)
{
    struct store_registration row = rows_registration(0, 1);

    (void)state;
    rows_create(dir, 1);
    struct store *s = open_keyed(STORE_SERVE);
    struct store_change c = removal_of(STORE_REGISTRATION, &row.id, STORE_MATCH_ANY);
    assert_ok(rows_assign(s, &row));
    assert_ok(rows_change(s, &c));
    assert_err(ERR_ABSENT, rows_change(s, &c));
    store_close(s);
    assert_sound(STORE_LOG_REGISTRATIONS, 3, 0);
    assert_sound(STORE_LOG_ENROLLMENTS, 1, 0);
}

/* An importer has no key; the next one who has chains its entries. */
static void entries_without_a_key_are_chained_later(void **state)
{
    struct store_enrollment row = rows_enrollment(1);
    struct store_batch *batch = NULL;

    (void)state;
    rows_create(dir, 3);
    store_close(open_keyed(STORE_SERVE));
    for (int i = 0; i < 2; i++) {
        struct store *s = open_store(STORE_IMPORT);
        assert_ok(store_batch_begin(s, &batch));
        assert_ok(store_batch_replace(batch, &row));
        assert_ok(store_batch_commit(batch));
        assert_ok(store_enrollment_set_enabled(s, &row.id, i, NOW_S));
        store_close(s);
    }
    assert_sound(STORE_LOG_ENROLLMENTS, 1, 4);
    struct store *s = open_keyed(STORE_IMPORT);
    assert_sound(STORE_LOG_ENROLLMENTS, 5, 0);
    assert_ok(store_enrollment_set_enabled(s, &row.id, false, NOW_S));
    struct regid nobody = rows_id("nobody");
    assert_err(ERR_ABSENT, store_enrollment_set_enabled(s, &nobody, false, NOW_S));
    store_close(s);
    assert_sound(STORE_LOG_ENROLLMENTS, 7, 0);
    assert_int_equal(count_rows(ENROLLMENTS_FILE, "SELECT count(*) FROM audit WHERE outcome = 'ABSENT'"), 1);
}

/* While the service runs: its next transaction takes them in. */
static void entries_of_others_are_chained_on_the_way(void **state)
{
    struct store_enrollment row = rows_enrollment(1);

    (void)state;
    rows_create(dir, 3);
    struct store *s = open_keyed(STORE_SERVE), *importing = open_store(STORE_IMPORT);
    for (int i = 0; i < 3; i++) {
        assert_ok(store_enrollment_set_enabled(importing, &row.id, false, NOW_S));
        struct store_change c = put_of(&row, STORE_MATCH_ANY);
        assert_ok(rows_change(s, &c));
    }
    store_close(importing);
    store_close(s);
    assert_sound(STORE_LOG_ENROLLMENTS, 7, 0);
}

static void what_is_lost_is_owned_up_to(void **state)
{
    int lost = 0;

    (void)state;
    rows_create(dir, 1);
    struct store *s = open_keyed(STORE_SERVE);
    sqlite3 *other = back_door_open(ENROLLMENTS_FILE);
    back_door_run(other, "BEGIN IMMEDIATE");
    for (int i = 0; i < 1300; i++) {
        struct store_audit entry = entry_of("many");
        enum err e = store_audit_append(s, &entry);
        assert_true(e == ERR_OK || e == ERR_UNAVAILABLE);
        lost += e != ERR_OK;
    }
    assert_true(lost > 0);
    (void)usleep(1200000); /* the first group is lost to the lock as well */
    back_door_run(other, "ROLLBACK");
    (void)sqlite3_close(other);
    store_close(s);
    s = open_keyed(STORE_SERVE);
    append(s, "after");
    store_close(s);
    int64_t there = count_rows(ENROLLMENTS_FILE, "SELECT count(*) FROM audit WHERE reason = 'many'");
    int64_t told = count_rows(ENROLLMENTS_FILE,
                              "SELECT total(substr(reason, instr(reason, ': ') + 2)) FROM audit "
                              "WHERE what = 'lose'");
    assert_true(told >= lost);
    assert_int_equal(there + told, 1300);
}

/* ---- what is done to it ---- */

static const char *const no_guards =
    "DROP TRIGGER audit_stays; DROP TRIGGER audit_holds; DROP TRIGGER audit_chained;";

struct forgery {
    const char *what, *sql;
    uint64_t wrong; /* 0: only the seal shows it */
};

/* Over entries 1 (begin) to 10. */
static const struct forgery forgeries[] = {
    {"who", "UPDATE audit SET who = 'somebody' WHERE number = 4", 4},
    {"what", "UPDATE audit SET what = 'put' WHERE number = 4", 4},
    {"object", "UPDATE audit SET object = 'group' WHERE number = 1", 1},
    {"id", "UPDATE audit SET id = '' WHERE number = 10", 10},
    {"outcome", "UPDATE audit SET outcome = 'OK' WHERE number = 4", 4},
    {"reason", "UPDATE audit SET reason = reason || ' ' WHERE number = 4", 4},
    {"time", "UPDATE audit SET at_s = at_s + 1 WHERE number = 4", 4},
    {"from one text into the next", "UPDATE audit SET who = who || 'g', what = 'et' WHERE number = 4", 4},
    {"a text of no bound", "UPDATE audit SET reason = printf('%.*c', 100000, 'x') WHERE number = 4", 4},
    {"hash", "UPDATE audit SET hash = zeroblob(32) WHERE number = 4", 4},
    {"no hash", "UPDATE audit SET hash = NULL WHERE number = 4", 4},
    {"removed", "DELETE FROM audit WHERE number = 4", 4},
    {"the first removed", "DELETE FROM audit WHERE number = 1", 1},
    {"removed and closed up", "DELETE FROM audit WHERE number = 4;"
     "UPDATE audit SET number = number - 1 WHERE number > 4", 4},
    {"moved", "UPDATE audit SET number = 99 WHERE number = 4; UPDATE audit SET number = 4 WHERE number = 5;"
     "UPDATE audit SET number = 5 WHERE number = 99", 4},
    {"repeated", "INSERT INTO audit SELECT 11, at_s, who, what, object, id, outcome, reason, hash"
     " FROM audit WHERE number = 10", 11},
    {"cut off", "DELETE FROM audit WHERE number = 10", 10},
    {"cut off deeper", "DELETE FROM audit WHERE number > 3", 4},
    {"all removed", "DELETE FROM audit", 1},
    {"cut off with its end", "DELETE FROM audit WHERE number = 10;"
     "UPDATE audit_end SET number = 9, hash = (SELECT hash FROM audit WHERE number = 9)", 0},
    {"without an end", "DELETE FROM audit_end", 1},
    {"wiped", "DELETE FROM audit_end; DELETE FROM audit", 0},
    {"wiped, but for what looks like the importer's", "DELETE FROM audit_end; DELETE FROM audit WHERE"
     " number > 3; UPDATE audit SET hash = NULL", 0},
};

static void make_log(void)
{
    rows_create(dir, 1);
    struct store *s = open_keyed(STORE_SERVE);
    for (int i = 0; i < 9; i++)
        append(s, i % 2 != 0 ? "odd" : "even");
    store_close(s);
    assert_sound(STORE_LOG_ENROLLMENTS, 10, 0);
}

static void assert_found_out(const struct forgery *f)
{
    struct store_audit_verdict v = verdict_of(STORE_LOG_ENROLLMENTS, &key);

    if (v.wrong != f->wrong || (f->wrong == 0 && v.sealed))
        fail_msg("%s: wrong at %llu, %s", f->what, (unsigned long long)v.wrong,
                 v.sealed ? "sealed" : "not sealed");
}

/* The service goes on, and what was done stays to be seen. */
static void assert_still_found_out(const struct forgery *f)
{
    struct store *s = open_keyed(STORE_SERVE);
    append(s, "after");
    store_close(s);
    struct store_audit_verdict v = verdict_of(STORE_LOG_ENROLLMENTS, &key);
    bool began_anew =
        count_rows(ENROLLMENTS_FILE,
                   "SELECT count(*) FROM audit WHERE what = 'begin' AND number > 1") > 0 ||
        v.chained == 2;
    if (v.wrong == 0 && !began_anew)
        fail_msg("%s: the service has mended it", f->what);
}

static void every_forgery_is_found(void **state)
{
    for (size_t i = 0; i < sizeof forgeries / sizeof forgeries[0]; i++) {
        make_directory(state);
        make_log();
        back_door(ENROLLMENTS_FILE, no_guards);
        back_door(ENROLLMENTS_FILE, forgeries[i].sql);
        assert_found_out(&forgeries[i]);
        assert_still_found_out(&forgeries[i]);
        remove_directory(state);
    }
}

static void another_key_verifies_nothing(void **state)
{
    (void)state;
    make_log();
    struct store_audit_verdict v = verdict_of(STORE_LOG_ENROLLMENTS, &other_key);
    assert_int_equal(v.wrong, 1);
    assert_false(v.sealed);
}

/* What the guards are for: an operator at the sqlite3 prompt. */
static void mistakes_are_refused(void **state)
{
    static const char *const mistakes[] = {
        "DELETE FROM audit", "UPDATE audit SET who = 'x'", "UPDATE audit SET hash = NULL",
        "UPDATE audit SET number = number + 1"};

    (void)state;
    make_log();
    sqlite3 *db = back_door_open(ENROLLMENTS_FILE);
    for (size_t i = 0; i < sizeof mistakes / sizeof mistakes[0]; i++)
        assert_int_equal(sqlite3_exec(db, mistakes[i], NULL, NULL, NULL), SQLITE_CONSTRAINT);
    (void)sqlite3_close(db);
    assert_sound(STORE_LOG_ENROLLMENTS, 10, 0);
}

/* One log in the place of the other. */
static void a_log_belongs_to_its_database(void **state)
{
    (void)state;
    make_log();
    sqlite3 *db = back_door_open(REGISTRATIONS_FILE);
    char attach[600];
    (void)snprintf(attach, sizeof attach, "ATTACH '%s' AS other", path_of(ENROLLMENTS_FILE));
    back_door_run(db, attach);
    back_door_run(db, no_guards);
    back_door_run(db, "DELETE FROM audit; DELETE FROM audit_end;"
                      "INSERT INTO audit SELECT * FROM other.audit;"
                      "INSERT INTO audit_end SELECT * FROM other.audit_end");
    (void)sqlite3_close(db);
    struct store_audit_verdict v = verdict_of(STORE_LOG_REGISTRATIONS, &key);
    assert_int_equal(v.wrong, 1);
}

/* The first load puts another file in the place of this one. */
static void a_first_load_keeps_the_log_and_the_groups(void **state)
{
    struct store_load *load = NULL;
    struct store_group group;
    struct store_enrollment row = rows_enrollment(1);
    uint8_t bytes[100];
    struct buf out = BUF_OVER(bytes);
    static struct store_profile profile = {.document = "{}"}, found;

    (void)state;
    rows_create(dir, 0);
    struct store *s = open_keyed(STORE_SERVE);
    for (int i = 0; i < 2; i++) {
        struct store_change c = group_of(i == 0 ? "stays" : "goes", STORE_MATCH_ABSENT);
        c.credential = SPAN_LITERAL("ca");
        c.profile = &profile;
        assert_ok(rows_change(s, &c));
    }
    struct regid id = rows_id("goes");
    struct store_change c = removal_of(STORE_GROUP, &id, STORE_MATCH_ANY);
    assert_ok(rows_change(s, &c));
    store_close(s);
    s = open_store(STORE_IMPORT);
    assert_ok(store_load_begin(s, &load, NULL));
    assert_ok(store_load_put(load, &row));
    assert_ok(store_load_commit(load, NULL));
    store_close(s);
    assert_sound(STORE_LOG_ENROLLMENTS, 4, 0);
    s = open_keyed(STORE_SERVE);
    struct store_reader *r = open_reader(s);
    id = rows_id("stays");
    assert_ok(store_group_find(r, &id, &group));
    assert_ok(store_group_credential_find(r, group.number, &out));
    assert_ok(store_profile_find(r, group.profile, &found));
    assert_string_equal(found.document, "{}");
    c = group_of("new", STORE_MATCH_ABSENT);
    assert_ok(rows_change(s, &c));
    assert_int_equal(c.number, 3); /* 2 was there once */
    store_reader_close(r);
    store_close(s);
    assert_sound(STORE_LOG_ENROLLMENTS, 5, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        test(changes_and_refusals_are_written_down),
        test(each_database_has_its_own),
        test(entries_without_a_key_are_chained_later),
        test(entries_of_others_are_chained_on_the_way),
        test(what_is_lost_is_owned_up_to),
        cmocka_unit_test(every_forgery_is_found),
        test(another_key_verifies_nothing),
        test(mistakes_are_refused),
        test(a_log_belongs_to_its_database),
        test(a_first_load_keeps_the_log_and_the_groups),
    };

    prefer_memory();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
