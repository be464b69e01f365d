/* Making the operator's changes, and counting what became of them. */
#ifndef STORE_CHANGE_UNIT_H
#define STORE_CHANGE_UNIT_H

#include "store_back_door.h"
#include <stdlib.h>
#include <unistd.h>

#define NOW_S 1790000000

static inline struct store_change change_of(enum store_object object, enum store_match match)
{
    return (struct store_change){
        .object = object, .match = match, .outcome = ERR_INTERNAL,
        .audit = {.who = "tester", .what = "change", .object = "thing", .at_s = NOW_S}};
}

static inline struct store_change put_of(const struct store_enrollment *row, enum store_match match)
{
    struct store_change c = change_of(STORE_ENROLLMENT, match);

    c.enrollment = *row;
    c.enrollment.updated_s = NOW_S;
    return c;
}

static inline struct store_change removal_of(enum store_object object, const struct regid *id,
                                      enum store_match match)
{
    struct store_change c = change_of(object, match);

    c.remove = true;
    c.id = *id;
    return c;
}

static inline struct store_enrollment keyless(const char *id, enum store_attestation attestation)
{
    return (struct store_enrollment){.id = rows_id(id), .device_id = rows_id(id),
                                     .attestation = attestation, .enabled = true,
                                     .created_s = NOW_S - 5, .updated_s = NOW_S - 5};
}

static inline struct store_change group_of(const char *id, enum store_match match)
{
    struct store_change c = change_of(STORE_GROUP, match);

    c.group = (struct store_group){.id = rows_id(id), .attestation = STORE_X509, .enabled = true,
                                   .created_s = NOW_S - 5, .updated_s = NOW_S};
    return c;
}

static inline int64_t count_rows(const char *file, const char *sql)
{
    sqlite3 *db = back_door_open(file);
    sqlite3_stmt *statement = NULL;

    assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &statement, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(statement), SQLITE_ROW);
    int64_t count = sqlite3_column_int64(statement, 0);
    (void)sqlite3_finalize(statement);
    (void)sqlite3_close(db);
    return count;
}

/* Many small databases, none of them for the power cut. */
static inline void prefer_memory(void)
{
    if (access("/dev/shm", W_OK) == 0)
        (void)setenv("TMPDIR", "/dev/shm", 0);
}

#endif
