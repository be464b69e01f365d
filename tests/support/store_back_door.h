/* SQLite itself, to do to the store's files what the store never would. */
#ifndef STORE_BACK_DOOR_H
#define STORE_BACK_DOOR_H

#include "store_unit.h"
#include <sqlite3.h>

static inline sqlite3 *back_door_open(const char *file)
{
    sqlite3 *db = NULL;

    assert_int_equal(sqlite3_open_v2(path_of(file), &db, SQLITE_OPEN_READWRITE, NULL), SQLITE_OK);
    (void)sqlite3_busy_timeout(db, 5000);
    return db;
}

static inline void back_door_run(sqlite3 *db, const char *sql)
{
    char *message = NULL;

    if (sqlite3_exec(db, sql, NULL, NULL, &message) != SQLITE_OK)
        fail_msg("%s: %s", sql, message);
}

static inline void back_door(const char *file, const char *sql)
{
    sqlite3 *db = back_door_open(file);

    back_door_run(db, sql);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

#define ENROLLMENTS_FILE "db/enrollments.db"
#define REGISTRATIONS_FILE "db/registrations.db"

#endif
