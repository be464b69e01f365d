/* Purpose: the two databases' shapes: files, marks and numbered migrations. Private to the store.
 *
 * A database carries an application_id (which of the two it is) and a user_version (how many
 * migrations it has seen). A new shape is one more line in schema.c; a line once released is never
 * changed.
 */
#ifndef STORE_SQLITE_SCHEMA_H
#define STORE_SQLITE_SCHEMA_H

#include "db.h"

struct schema {
    const char *file; /* name below DIR/db */
    int64_t application_id;
    const char *const *migrations;
    int version; /* how many there are */
};
extern const struct schema store_schemas[DATABASE_COUNT];

/* SCHEMA_NEW: an empty file becomes a database. SCHEMA_MIGRATE: an older one is brought up to date.
 * SCHEMA_EXACT: nothing is written. ERR_STORE_SCHEMA, ERR_STORE when it is not ours. */
enum schema_mode { SCHEMA_NEW, SCHEMA_MIGRATE, SCHEMA_EXACT };
MUST_USE enum err schema_settle(struct db *db, const struct schema *schema, enum schema_mode mode,
                                struct store_reason *ret_reason);

#endif
