#include "schema.h"

/* Each ends by stating its number, inside the same transaction. */
#define MIGRATION(number, text) text " PRAGMA user_version = " #number ";"

#define ENROLLMENTS_MARK 0x4372456e   /* "CrEn" */
#define REGISTRATIONS_MARK 0x43725265 /* "CrRe" */
#define QUOTE_(x) #x
#define QUOTE(x) QUOTE_(x)
#define MARK(mark) "PRAGMA application_id = " QUOTE(mark) "; "

#define ENROLLMENT_INDEXES                                                                         \
    "CREATE UNIQUE INDEX enrollment_id ON enrollment (id);"                                        \
    "CREATE UNIQUE INDEX enrollment_key ON enrollment (ek_hash);"                                  \
    "CREATE UNIQUE INDEX enrollment_device ON enrollment (device_id) WHERE device_id IS NOT NULL;"

/* Profiles of the service API go with the last row that has them. */
#define PROFILE_LEFT                                                                               \
    " UPDATE profile SET uses = uses - 1 WHERE number = OLD.profile AND hash IS NOT NULL"          \
    " AND uses > 0;"                                                                               \
    " DELETE FROM profile WHERE number = OLD.profile AND hash IS NOT NULL AND uses = 0;"

/* hash: NULL until somebody with the key has chained the entry. The triggers hold against mistakes; the
 * chain is against the rest. audit_end holds the last chained entry, signed. */
#define AUDIT_TABLES                                                                               \
    "CREATE TABLE audit ("                                                                         \
    " number INTEGER PRIMARY KEY AUTOINCREMENT,"                                                   \
    " at_s INTEGER NOT NULL,"                                                                      \
    " who TEXT NOT NULL,"                                                                          \
    " what TEXT NOT NULL,"                                                                         \
    " object TEXT NOT NULL,"                                                                       \
    " id TEXT NOT NULL,"                                                                           \
    " outcome TEXT NOT NULL,"                                                                      \
    " reason TEXT NOT NULL,"                                                                       \
    " hash BLOB CHECK (length(hash) = 32)"                                                         \
    ") STRICT;"                                                                                    \
    "CREATE TABLE audit_end ("                                                                     \
    " one INTEGER PRIMARY KEY CHECK (one = 1),"                                                    \
    " number INTEGER NOT NULL,"                                                                    \
    " hash BLOB NOT NULL CHECK (length(hash) = 32),"                                               \
    " signature BLOB NOT NULL CHECK (length(signature) = 32)"                                      \
    ") STRICT;"                                                                                    \
    "CREATE TRIGGER audit_stays BEFORE DELETE ON audit BEGIN"                                      \
    " SELECT RAISE(ABORT, 'the audit log only grows');"                                            \
    "END;"                                                                                         \
    "CREATE TRIGGER audit_holds BEFORE UPDATE OF number, at_s, who, what, object, id, outcome,"    \
    " reason ON audit BEGIN SELECT RAISE(ABORT, 'the audit log only grows'); END;"                 \
    "CREATE TRIGGER audit_chained BEFORE UPDATE OF hash ON audit WHEN OLD.hash IS NOT NULL BEGIN"  \
    " SELECT RAISE(ABORT, 'the audit log only grows');"                                            \
    "END;"

/* Enrollments come in bulk with random keys: a rowid table is appended to, and only the indexes see
 * random writes. */
static const char *const enrollment_migrations[] = {
    MIGRATION(1, MARK(ENROLLMENTS_MARK)
        "CREATE TABLE enrollment ("
        " number INTEGER PRIMARY KEY,"
        " id TEXT NOT NULL UNIQUE CHECK (length(id) BETWEEN 1 AND 128),"
        " device_id TEXT NOT NULL UNIQUE CHECK (length(device_id) BETWEEN 1 AND 128),"
        " ek_hash BLOB NOT NULL UNIQUE CHECK (length(ek_hash) = 32),"
        " pin_srk INTEGER NOT NULL CHECK (pin_srk IN (0, 1)),"
        " enabled INTEGER NOT NULL CHECK (enabled IN (0, 1)),"
        " created_s INTEGER NOT NULL,"
        " updated_s INTEGER NOT NULL,"
        " ek BLOB NOT NULL,"
        " srk BLOB NOT NULL"
        ") STRICT;"),
    /* Two indexes instead of three: nearly every device id is the registration id, so only the others
     * are kept and indexed (statements.def sees to it that they are unique over both). */
    MIGRATION(2,
        "CREATE TABLE profile ("
        " number INTEGER PRIMARY KEY,"
        " tags TEXT NOT NULL,"
        " hubs TEXT NOT NULL,"
        " allocation TEXT NOT NULL,"
        " twin TEXT NOT NULL,"
        " UNIQUE (tags, hubs, allocation, twin)"
        ") STRICT;"
        "CREATE TABLE certificate ("
        " enrollment INTEGER PRIMARY KEY,"
        " der BLOB NOT NULL"
        ") STRICT;"
        "CREATE TABLE audit ("
        " number INTEGER PRIMARY KEY,"
        " at_s INTEGER NOT NULL,"
        " what TEXT NOT NULL,"
        " id TEXT NOT NULL,"
        " device_id TEXT NOT NULL,"
        " ek_hash BLOB NOT NULL,"
        " by_id TEXT NOT NULL,"
        " by_ek_hash BLOB NOT NULL"
        ") STRICT;"
        "ALTER TABLE enrollment RENAME TO enrollment_1;"
        "CREATE TABLE enrollment ("
        " number INTEGER PRIMARY KEY,"
        " id TEXT NOT NULL CHECK (length(id) BETWEEN 1 AND 128),"
        " device_id TEXT CHECK (length(device_id) BETWEEN 1 AND 128),"
        " ek_hash BLOB NOT NULL CHECK (length(ek_hash) = 32),"
        " pin_srk INTEGER NOT NULL CHECK (pin_srk IN (0, 1)),"
        " enabled INTEGER NOT NULL CHECK (enabled IN (0, 1)),"
        " ek_grade INTEGER NOT NULL CHECK (ek_grade IN (0, 1, 2)),"
        " profile INTEGER NOT NULL,"
        " created_s INTEGER NOT NULL,"
        " updated_s INTEGER NOT NULL,"
        " ek BLOB NOT NULL,"
        " srk BLOB NOT NULL"
        ") STRICT;"
        "INSERT INTO enrollment SELECT number, id, nullif(device_id, id), ek_hash, pin_srk, enabled,"
        " 0, 0, created_s, updated_s, ek, srk FROM enrollment_1;"
        "DROP TABLE enrollment_1;"
        ENROLLMENT_INDEXES),
    /* Profiles with documents; an audit log that is chained. */
    MIGRATION(3,
        "ALTER TABLE profile RENAME TO profile_2;"
        "CREATE TABLE profile ("
        " number INTEGER PRIMARY KEY AUTOINCREMENT,"
        " tags TEXT NOT NULL,"
        " hubs TEXT NOT NULL,"
        " allocation TEXT NOT NULL,"
        " twin TEXT NOT NULL,"
        " document TEXT NOT NULL,"
        " hash BLOB CHECK (length(hash) = 32)," /* of all texts, where there is a document */
        " uses INTEGER NOT NULL CHECK (uses >= 0)," /* rows that have it, likewise */
        " CHECK ((hash IS NULL) = (document = ''))"
        ") STRICT;"
        "INSERT INTO profile SELECT number, tags, hubs, allocation, twin, '', NULL, 0 FROM profile_2;"
        "DROP TABLE profile_2;"
        "CREATE UNIQUE INDEX profile_texts ON profile (tags, hubs, allocation, twin)"
        " WHERE hash IS NULL;"
        "CREATE UNIQUE INDEX profile_hash ON profile (hash) WHERE hash IS NOT NULL;"
        "ALTER TABLE audit RENAME TO audit_2;"
        AUDIT_TABLES
        "INSERT INTO audit (number, at_s, who, what, object, id, outcome, reason) "
        "SELECT number, at_s, 'ekpub-import', what, 'enrollment', id, 'OK', 'device ' || device_id ||"
        " ', key ' || lower(hex(ek_hash)) || '; by ' || by_id || ', key ' || lower(hex(by_ek_hash))"
        " FROM audit_2;"
        "DROP TABLE audit_2;"),
    /* Enrollments without an EK, groups, credentials. Counting numbers in sqlite_sequence would cost an
     * import a tenth of its time, so only a removal writes down which number was spent. */
    MIGRATION(4,
        "CREATE TABLE enrollment_group ("
        " number INTEGER PRIMARY KEY AUTOINCREMENT,"
        " id TEXT NOT NULL UNIQUE CHECK (length(id) BETWEEN 1 AND 128),"
        " attestation INTEGER NOT NULL CHECK (attestation IN (0, 1, 2)),"
        " enabled INTEGER NOT NULL CHECK (enabled IN (0, 1)),"
        " profile INTEGER NOT NULL,"
        " revision INTEGER NOT NULL CHECK (revision >= 1),"
        " created_s INTEGER NOT NULL,"
        " updated_s INTEGER NOT NULL"
        ") STRICT;"
        "CREATE TABLE credential ("
        " enrollment INTEGER PRIMARY KEY,"
        " value BLOB NOT NULL"
        ") STRICT;"
        "CREATE TABLE group_credential ("
        " enrollment_group INTEGER PRIMARY KEY,"
        " value BLOB NOT NULL"
        ") STRICT;"
        "ALTER TABLE enrollment RENAME TO enrollment_2;"
        "CREATE TABLE enrollment ("
        " number INTEGER PRIMARY KEY,"
        " id TEXT NOT NULL CHECK (length(id) BETWEEN 1 AND 128),"
        " device_id TEXT CHECK (length(device_id) BETWEEN 1 AND 128),"
        " ek_hash BLOB CHECK (length(ek_hash) = 32),"
        " pin_srk INTEGER NOT NULL CHECK (pin_srk IN (0, 1)),"
        " enabled INTEGER NOT NULL CHECK (enabled IN (0, 1)),"
        " ek_grade INTEGER NOT NULL CHECK (ek_grade IN (0, 1, 2)),"
        " attestation INTEGER NOT NULL CHECK (attestation IN (0, 1, 2)),"
        " revision INTEGER NOT NULL DEFAULT 1 CHECK (revision >= 1),"
        " profile INTEGER NOT NULL,"
        " created_s INTEGER NOT NULL,"
        " updated_s INTEGER NOT NULL,"
        " ek BLOB NOT NULL,"
        " srk BLOB NOT NULL,"
        " CHECK ((ek_hash IS NULL) = (attestation <> 0))"
        ") STRICT;"
        "INSERT INTO enrollment SELECT number, id, device_id, ek_hash, pin_srk, enabled, ek_grade,"
        " 0, 1, profile, created_s, updated_s, ek, srk FROM enrollment_2;"
        "DROP TABLE enrollment_2;"
        ENROLLMENT_INDEXES
        "CREATE TABLE spent ("
        " one INTEGER PRIMARY KEY CHECK (one = 1),"
        " number INTEGER NOT NULL" /* of enrollments: the highest that was removed */
        ") STRICT;"
        "INSERT INTO spent VALUES (1, 0);"
        "CREATE TRIGGER enrollment_removed AFTER DELETE ON enrollment BEGIN"
        " UPDATE spent SET number = OLD.number WHERE number < OLD.number;"
        " DELETE FROM credential WHERE enrollment = OLD.number;"
        " DELETE FROM certificate WHERE enrollment = OLD.number;"
        PROFILE_LEFT
        "END;"
        "CREATE TRIGGER group_removed AFTER DELETE ON enrollment_group BEGIN"
        " DELETE FROM group_credential WHERE enrollment_group = OLD.number;"
        PROFILE_LEFT
        "END;"),
};

/* Also here a rowid table: a row of some 700 bytes in the middle of a WITHOUT ROWID tree splits a page
 * every third time; appended, with an index of short keys beside it, it costs two thirds of the CPU and
 * half of the checkpointing (bench_store). */
static const char *const registration_migrations[] = {
    MIGRATION(1, MARK(REGISTRATIONS_MARK)
        "CREATE TABLE registration ("
        " number INTEGER PRIMARY KEY,"
        " id TEXT NOT NULL UNIQUE CHECK (length(id) BETWEEN 1 AND 128),"
        " device_id TEXT NOT NULL CHECK (length(device_id) BETWEEN 1 AND 128),"
        " generation INTEGER NOT NULL CHECK (generation >= 1),"
        " ek_hash BLOB NOT NULL CHECK (length(ek_hash) = 32),"
        " hub TEXT NOT NULL,"
        " operation_id TEXT NOT NULL,"
        " challenge_window INTEGER NOT NULL,"
        " etag TEXT NOT NULL,"
        " created_s INTEGER NOT NULL,"
        " updated_s INTEGER NOT NULL,"
        " srk BLOB NOT NULL"
        ") STRICT;"),
    MIGRATION(2,
        "ALTER TABLE registration ADD COLUMN"
        " group_id TEXT NOT NULL DEFAULT '' CHECK (length(group_id) <= 128);"
        "ALTER TABLE registration ADD COLUMN"
        " deleted INTEGER NOT NULL DEFAULT 0 CHECK (deleted IN (0, 1));"
        "ALTER TABLE registration ADD COLUMN device_keys BLOB NOT NULL DEFAULT x'';"
        "ALTER TABLE registration ADD COLUMN payload TEXT NOT NULL DEFAULT '';"
        "CREATE INDEX registration_group ON registration (group_id) WHERE group_id <> '';"
        AUDIT_TABLES),
};

#define COUNT(array) ((int)(sizeof(array) / sizeof((array)[0])))

const struct schema store_schemas[DATABASE_COUNT] = {
    [ENROLLMENTS] = {"enrollments.db", ENROLLMENTS_MARK, enrollment_migrations,
                     COUNT(enrollment_migrations)},
    [REGISTRATIONS] = {"registrations.db", REGISTRATIONS_MARK, registration_migrations,
                       COUNT(registration_migrations)},
};

static enum err schema_check_mark(const struct db *db, const struct schema *schema, int64_t mark,
                                  struct store_reason *ret_reason)
{
    if (mark == schema->application_id)
        return ERR_OK;
    db_reason(ret_reason, "%s is not Cradle's %s", db->path, schema->file);
    return ERR_STORE;
}

static enum err schema_check_version(const struct db *db, const struct schema *schema,
                                     int64_t version, enum schema_mode mode,
                                     struct store_reason *ret_reason)
{
    if (version > schema->version) {
        db_reason(ret_reason, "%s has schema %lld, made by a newer version; this one knows %d",
                  db->path, (long long)version, schema->version);
        return ERR_STORE_SCHEMA;
    }
    if (version < schema->version && mode == SCHEMA_EXACT) {
        db_reason(ret_reason, "%s has the older schema %lld of %d; the service migrates it",
                  db->path, (long long)version, schema->version);
        return ERR_STORE_SCHEMA;
    }
    return ERR_OK;
}

static enum err schema_check(struct db *db, const struct schema *schema, enum schema_mode mode,
                             int64_t *ret_version, struct store_reason *ret_reason)
{
    int64_t mark = 0, version = 0;

    TRY(db_pragma_integer(db, "PRAGMA application_id", &mark, ret_reason));
    TRY(db_pragma_integer(db, "PRAGMA user_version", &version, ret_reason));
    if (mode != SCHEMA_NEW || mark != 0 || version != 0)
        TRY(schema_check_mark(db, schema, mark, ret_reason));
    TRY(schema_check_version(db, schema, version, mode, ret_reason));
    *ret_version = version;
    return ERR_OK;
}

/* Checked again under the write lock: another process may have migrated meanwhile. */
static enum err schema_migrate_locked(struct db *db, const struct schema *schema,
                                      enum schema_mode mode, struct store_reason *ret_reason)
{
    int64_t version = 0;

    TRY(schema_check(db, schema, mode, &version, ret_reason));
    for (int64_t next = version < 0 ? 0 : version; next < schema->version; next++)
        TRY(db_script(db, schema->migrations[next], ret_reason));
    return ERR_OK;
}

static enum err schema_migrate(struct db *db, const struct schema *schema, enum schema_mode mode,
                               struct store_reason *ret_reason)
{
    TRY(db_script(db, "BEGIN IMMEDIATE", ret_reason));
    enum err e = schema_migrate_locked(db, schema, mode, ret_reason);
    if (e == ERR_OK)
        e = db_script(db, "COMMIT", ret_reason);
    if (e != ERR_OK)
        db_abandon(db);
    return e;
}

enum err schema_settle(struct db *db, const struct schema *schema, enum schema_mode mode,
                       struct store_reason *ret_reason)
{
    int64_t version = 0;

    TRY(schema_check(db, schema, mode, &version, ret_reason));
    if (version == schema->version)
        return ERR_OK;
    return schema_migrate(db, schema, mode, ret_reason);
}
