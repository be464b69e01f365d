/* Purpose: one SQLite connection with its prepared statements, and the query, which is to SQL what
 * buf and rd are to bytes: bind in order, step, take columns in order, one check at the end.
 * Private to the store; a connection is used by one thread at a time.
 *
 *   QUERY q = query_on(db, ENROLLMENT_FIND);
 *   query_put_text(&q, id);
 *   TRY(query_row(&q));                      // ERR_ABSENT: no (more) rows
 *   query_take_text(&q, 1, text, sizeof text);
 *   return query_row_end(&q);                // ERR_STORE: the row is not what we would have written
 *
 * What is put must outlive the query. Its end resets the statement, so no snapshot is held after.
 */
#ifndef STORE_SQLITE_DB_H
#define STORE_SQLITE_DB_H

#include <sqlite3.h>
#include <store/store.h>

enum database { ENROLLMENTS, REGISTRATIONS, DATABASE_COUNT };

enum statement {
#define STATEMENT(database, name, text) name,
#include "statements.def"
#undef STATEMENT
    STATEMENT_COUNT
};

#define DB_PATH_CAP 600

struct db {
    sqlite3 *handle;
    sqlite3_stmt *statements[STATEMENT_COUNT]; /* NULL where of the other database */
    char path[DB_PATH_CAP];
    enum database which; /* once prepared */
    int looks_max;       /* of db_take_turns */
    int turn_fd;         /* likewise; 0: none */
    int wal_frames; /* after this connection's last commit */
    bool wal_wrote; /* it has committed something since this was last cleared */
    bool wal_moved; /* the last checkpoint left nothing in the log */
    bool io_failed; /* a write or fsync failed: what is on the disk is not known any more */
};
#define DB __attribute__((cleanup(db_close))) struct db

void db_reason(struct store_reason *reason, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

enum db_access { DB_READ, DB_WRITE };
/* The file must be there. ret_db is the caller's and must not move while open. */
MUST_USE enum err db_open(struct db *ret_db, const char *path, enum db_access access,
                          int busy_timeout_ms, struct store_reason *ret_reason);
/* For a database that several processes write, each in many short transactions: who wants to begin takes
 * his turn first and keeps it while he waits, so that nobody who goes on and on is in his way twice. He
 * looks every fraction of a millisecond; SQLite's own waiting grows and comes too late. The turn is a lock
 * on the directory of the file: without it (ERR_STORE never comes of it) there is only the looking. */
void db_take_turns(struct db *db, int busy_timeout_ms);
/* Prepares all statements of the database. */
MUST_USE enum err db_prepare(struct db *db, enum database database,
                             struct store_reason *ret_reason);
#define DB_CACHE_LARGE "PRAGMA cache_size = -65536" /* KiB; scripts for db_script */
#define DB_CACHE_MIDDLE "PRAGMA cache_size = -16384"
#define DB_CACHE_SMALL "PRAGMA cache_size = -2048"
void db_close(struct db *db); /* a zeroed or closed one is fine */

/* Static text only: migrations and pragmas. */
MUST_USE enum err db_script(struct db *db, const char *static_text,
                            struct store_reason *ret_reason);
MUST_USE enum err db_pragma_integer(struct db *db, const char *static_text, int64_t *ret_value,
                                    struct store_reason *ret_reason);

/* Runs a statement that takes and gives nothing: begin, commit. */
MUST_USE enum err db_run(struct db *db, enum statement which);
MUST_USE enum err db_begin(struct db *db); /* to write */
MUST_USE enum err db_commit(struct db *db);
void db_abandon(struct db *db); /* rolls back if a transaction is open */
bool db_in_transaction(const struct db *db);
/* Rows that the last insert or update wrote. */
int db_changes(const struct db *db);
int64_t db_inserted(const struct db *db); /* number of the last row */

/* Moves the log into the database. PASSIVE waits for nobody and moves what it can. RESTART waits (up
 * to the busy time-out) for writers and readers, so that the log is written from its beginning
 * again; TRUNCATE leaves it empty besides. ERR_STORE_BUSY if they did not end. */
enum db_checkpoint { DB_CHECKPOINT_PASSIVE, DB_CHECKPOINT_RESTART, DB_CHECKPOINT_TRUNCATE };
MUST_USE enum err db_checkpoint(struct db *db, enum db_checkpoint how);
/* The log's file, as this connection has it open: it must have read before. */
MUST_USE enum err db_log_sync(struct db *db);
MUST_USE enum err db_log_bytes(struct db *db, int64_t *ret_bytes);

/* ---- queries ---- */
struct query {
    struct db *db;
    sqlite3_stmt *statement;
    int parameter; /* last one bound */
    int column;    /* next one taken */
    int status;    /* first SQLite error of binding */
    bool bad;      /* a column was not what it must be */
};
#define QUERY __attribute__((cleanup(query_end))) struct query

struct query query_on(struct db *db, enum statement which);
void query_put_text(struct query *q, const char *text);
void query_put_text_span(struct query *q, struct span text);
void query_put_blob(struct query *q, const uint8_t *at, size_t len);
void query_put_null(struct query *q);
void query_put_integer(struct query *q, int64_t value);

MUST_USE enum err query_row(struct query *q);  /* ERR_OK: there is a row; ERR_ABSENT: none left */
MUST_USE enum err query_done(struct query *q); /* for statements without rows */

void query_take_text(struct query *q, size_t min_len, char *ret_text, size_t cap);
void query_take_regid(struct query *q, struct regid *ret_id);
void query_take_regid_or_none(struct query *q, struct regid *ret_id); /* an empty text is none */
size_t query_take_blob(struct query *q, size_t min_len, uint8_t *ret_bytes, size_t cap);
/* In place: what they see ends with the query. */
void query_see_blob(struct query *q, size_t min_len, size_t max_len, struct span *ret_bytes);
void query_see_text(struct query *q, size_t max_len, struct span *ret_text);
bool query_skip_null(struct query *q); /* steps over the column if it holds nothing */
int64_t query_take_integer(struct query *q, int64_t min, int64_t max);
MUST_USE enum err query_row_end(const struct query *q);

void query_end(struct query *q);

#endif
