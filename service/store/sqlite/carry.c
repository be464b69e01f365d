/* What a first load takes over into its fresh file: everything but enrollments, of which there are none.
 * Profiles go where it keeps them until the end. */
#include "internal.h"

static const struct {
    const char *from, *to;
} carried[] = {
    {"SELECT * FROM profile", "INSERT INTO temp.profile VALUES (?, ?, ?, ?, ?, ?, ?, ?)"},
    {"SELECT * FROM enrollment_group", "INSERT INTO enrollment_group VALUES (?, ?, ?, ?, ?, ?, ?, ?)"},
    {"SELECT * FROM group_credential", "INSERT INTO group_credential VALUES (?, ?)"},
    {"SELECT * FROM audit", "INSERT INTO audit VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"},
    {"SELECT * FROM audit_end", "INSERT INTO audit_end VALUES (?, ?, ?, ?)"},
    /* so that no number is given twice; it has been filled by the inserts above */
    {"SELECT name, seq FROM sqlite_sequence",
     "UPDATE sqlite_sequence SET seq = max(seq, ?2) WHERE name = ?1"},
    {"SELECT name, seq FROM sqlite_sequence",
     "INSERT INTO sqlite_sequence SELECT ?1, ?2 "
     "WHERE NOT EXISTS (SELECT 1 FROM sqlite_sequence WHERE name = ?1)"},
};

static void carry_finalize(sqlite3_stmt **statement)
{
    (void)sqlite3_finalize(*statement);
}
#define STATEMENT_OWNED __attribute__((cleanup(carry_finalize))) sqlite3_stmt

static enum err carry_row(sqlite3_stmt *from, sqlite3_stmt *to)
{
    for (int i = 0; i < sqlite3_column_count(from); i++)
        if (sqlite3_bind_value(to, i + 1, sqlite3_column_value(from, i)) != SQLITE_OK)
            return ERR_MEMORY;
    int status = sqlite3_step(to);
    (void)sqlite3_reset(to);
    return status == SQLITE_DONE ? ERR_OK : status == SQLITE_FULL ? ERR_STORE_FULL : ERR_STORE;
}

static enum err carry_rows(struct db *from, struct db *to, size_t which)
{
    STATEMENT_OWNED *select = NULL;
    STATEMENT_OWNED *insert = NULL;
    int status = SQLITE_DONE;

    if (sqlite3_prepare_v2(from->handle, carried[which].from, -1, &select, NULL) != SQLITE_OK ||
        sqlite3_prepare_v2(to->handle, carried[which].to, -1, &insert, NULL) != SQLITE_OK)
        return ERR_STORE;
    while ((status = sqlite3_step(select)) == SQLITE_ROW)
        TRY(carry_row(select, insert));
    return status == SQLITE_DONE ? ERR_OK : ERR_STORE;
}

enum err carry_over(struct db *from, struct db *to, struct store_reason *ret_reason)
{
    for (size_t i = 0; i < sizeof carried / sizeof carried[0]; i++) {
        enum err e = carry_rows(from, to, i);
        if (e != ERR_OK) {
            db_reason(ret_reason, "%s: %s", to->path, sqlite3_errmsg(to->handle));
            return e;
        }
    }
    return ERR_OK;
}
