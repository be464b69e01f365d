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
