#include "db.h"
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

static pthread_once_t db_process = PTHREAD_ONCE_INIT;

static const struct {
    enum database database;
    const char *text;
} statement_texts[STATEMENT_COUNT] = {
#define STATEMENT(database, name, text) [name] = {database, text},
#include "statements.def"
#undef STATEMENT
};

void db_reason(struct store_reason *reason, const char *format, ...)
{
    va_list arguments;

    if (reason == NULL)
        return;
    va_start(arguments, format);
    (void)vsnprintf(reason->text, sizeof reason->text, format, arguments);
    va_end(arguments);
}

/* ---- errors ---- */

/* SQLITE_FULL is only what write() said; a quota, or shared memory that cannot grow, says it in other
 * words. A failed fsync is never among them: after it nothing is known. */
static bool db_means_full(const struct db *db, int status)
{
    int why = sqlite3_system_errno(db->handle);

    if (status == SQLITE_FULL || status == SQLITE_IOERR_SHMSIZE)
        return true;
    return status == SQLITE_IOERR_WRITE && (why == ENOSPC || why == EDQUOT);
}

/* I/O errors that leave no doubt about what is on the disk. */
static bool db_is_harmless(int status)
{
    switch (status) {
    case SQLITE_IOERR_NOMEM:
    case SQLITE_IOERR_READ:
    case SQLITE_IOERR_SHORT_READ:
    case SQLITE_IOERR_LOCK:
    case SQLITE_IOERR_RDLOCK:
    case SQLITE_IOERR_UNLOCK:
    case SQLITE_IOERR_SHMOPEN:
    case SQLITE_IOERR_SHMLOCK:
    case SQLITE_IOERR_SHMMAP:
        return true;
    default:
        return false;
    }
}

static enum err db_error(struct db *db, int status)
{
    if (db_means_full(db, status))
        return ERR_STORE_FULL;
    switch (status & 0xff) {
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
    case SQLITE_PROTOCOL:
        return ERR_STORE_BUSY;
    case SQLITE_NOMEM:
        return ERR_MEMORY;
    case SQLITE_IOERR:
        db->io_failed = db->io_failed || !db_is_harmless(status);
        return ERR_STORE;
    default:
        return ERR_STORE;
    }
}

static enum err db_explain(struct db *db, int status, struct store_reason *ret_reason)
{
    enum err e = db_error(db, status);

    db_reason(ret_reason, "%s: %s", db->path, sqlite3_errmsg(db->handle));
    return e;
}

/* ---- scripts and pragmas ---- */

static enum err db_finish_statement(struct db *db, sqlite3_stmt *statement,
                                    struct store_reason *ret_reason)
{
    int status;

    do
        status = sqlite3_step(statement);
    while (status == SQLITE_ROW);
    enum err e = status == SQLITE_DONE ? ERR_OK : db_explain(db, status, ret_reason);
    (void)sqlite3_finalize(statement);
    return e;
}

enum err db_script(struct db *db, const char *static_text, struct store_reason *ret_reason)
{
    const char *rest = static_text;

    while (*rest != '\0') {
        sqlite3_stmt *statement = NULL;
        int status = sqlite3_prepare_v2(db->handle, rest, -1, &statement, &rest);

        if (status != SQLITE_OK)
            return db_explain(db, status, ret_reason);
        if (statement != NULL)
            TRY(db_finish_statement(db, statement, ret_reason));
    }
    return ERR_OK;
}

enum err db_pragma_integer(struct db *db, const char *static_text, int64_t *ret_value,
                           struct store_reason *ret_reason)
{
    sqlite3_stmt *statement = NULL;
    int status = sqlite3_prepare_v2(db->handle, static_text, -1, &statement, NULL);

    if (status != SQLITE_OK)
        return db_explain(db, status, ret_reason);
    status = sqlite3_step(statement);
    int64_t value = status == SQLITE_ROW ? sqlite3_column_int64(statement, 0) : 0;
    enum err e = status == SQLITE_ROW ? ERR_OK : db_explain(db, status, ret_reason);
    (void)sqlite3_finalize(statement);
    if (e == ERR_OK)
        *ret_value = value;
    return e;
}

/* ---- opening ---- */

/* Taking the place of SQLite's own hook also ends its checkpoints in the middle of a commit. */
static int db_note_commit(void *arg, sqlite3 *handle, const char *name, int frames)
{
    struct db *db = arg;

    (void)handle;
    (void)name;
    db->wal_frames = frames;
    db->wal_wrote = true;
    return SQLITE_OK;
}

/* Closing must not checkpoint by itself: after a failed fsync the log is all there is. */
static enum err db_configure(struct db *db, int busy_timeout_ms, struct store_reason *ret_reason)
{
    (void)sqlite3_extended_result_codes(db->handle, 1);
    (void)sqlite3_busy_timeout(db->handle, busy_timeout_ms);
    (void)sqlite3_wal_hook(db->handle, db_note_commit, db);
    (void)sqlite3_db_config(db->handle, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
    (void)sqlite3_db_config(db->handle, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
    (void)sqlite3_db_config(db->handle, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
    return db_script(db,
                     "PRAGMA synchronous = FULL; PRAGMA cell_size_check = ON;"
                     "PRAGMA temp_store = MEMORY; PRAGMA journal_size_limit = 67108864;",
                     ret_reason);
}

#define DB_LOOK_US 250

static int db_look_again(void *arg, int times)
{
    const struct db *db = arg;

    if (times >= db->looks_max)
        return 0;
    (void)nanosleep(&(struct timespec){.tv_nsec = DB_LOOK_US * 1000L}, NULL);
    return 1;
}

void db_take_turns(struct db *db, int busy_timeout_ms)
{
    char directory[DB_PATH_CAP];

    db->looks_max = busy_timeout_ms * 1000 / DB_LOOK_US;
    (void)sqlite3_busy_handler(db->handle, db_look_again, db);
    (void)snprintf(directory, sizeof directory, "%s", db->path);
    *strrchr(directory, '/') = '\0';
    if (db->turn_fd != 0)
        return;
    int fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    db->turn_fd = fd > 0 ? fd : 0;
}

/* Where the file or its system is read-only SQLite opens it all the same, only for reading. */
static enum err db_configure_writing(struct db *db, struct store_reason *ret_reason)
{
    if (sqlite3_db_readonly(db->handle, "main") != 0) {
        db_reason(ret_reason, "%s cannot be written", db->path);
        return ERR_STORE;
    }
    return db_script(db, "PRAGMA journal_mode = WAL", ret_reason);
}

/* SQLite counts each allocation under a lock of the whole process, for statistics nobody asks for. */
static void db_prepare_process(void)
{
    (void)sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
}

static enum err db_open_handle(struct db *db, enum db_access access,
                               struct store_reason *ret_reason)
{
    int flags = access == DB_WRITE ? SQLITE_OPEN_READWRITE : SQLITE_OPEN_READONLY;

    (void)pthread_once(&db_process, db_prepare_process);
    int status = sqlite3_open_v2(db->path, &db->handle, flags | SQLITE_OPEN_NOMUTEX, NULL);

    if (status == SQLITE_OK)
        return ERR_OK;
    if (db->handle == NULL)
        return ERR_MEMORY;
    return db_explain(db, sqlite3_extended_errcode(db->handle), ret_reason);
}

static enum err db_open_configured(struct db *db, enum db_access access, int busy_timeout_ms,
                                   struct store_reason *ret_reason)
{
    TRY(db_open_handle(db, access, ret_reason));
    TRY(db_configure(db, busy_timeout_ms, ret_reason));
    if (access == DB_WRITE)
        TRY(db_configure_writing(db, ret_reason));
    return ERR_OK;
}

enum err db_open(struct db *ret_db, const char *path, enum db_access access, int busy_timeout_ms,
                 struct store_reason *ret_reason)
{
    *ret_db = (struct db){0};
    if (strlen(path) >= sizeof ret_db->path) {
        db_reason(ret_reason, "the path of the databases is too long");
        return ERR_STORE;
    }
    memcpy(ret_db->path, path, strlen(path) + 1);
    enum err e = db_open_configured(ret_db, access, busy_timeout_ms, ret_reason);
    if (e != ERR_OK)
        db_close(ret_db);
    return e;
}

enum err db_prepare(struct db *db, enum database database, struct store_reason *ret_reason)
{
    db->which = database;
    for (int i = 0; i < STATEMENT_COUNT; i++) {
        if (statement_texts[i].database != database)
            continue;
        int status = sqlite3_prepare_v3(db->handle, statement_texts[i].text, -1,
                                        SQLITE_PREPARE_PERSISTENT, &db->statements[i], NULL);
        if (status != SQLITE_OK)
            return db_explain(db, status, ret_reason);
    }
    return ERR_OK;
}

void db_close(struct db *db)
{
    for (int i = 0; i < STATEMENT_COUNT; i++)
        (void)sqlite3_finalize(db->statements[i]);
    (void)sqlite3_close(db->handle);
    if (db->turn_fd != 0)
        (void)close(db->turn_fd);
    db->turn_fd = 0;
    memset(db->statements, 0, sizeof db->statements);
    db->handle = NULL;
}

/* ---- transactions ---- */

enum err db_run(struct db *db, enum statement which)
{
    QUERY q = query_on(db, which);

    return query_done(&q);
}

/* Who holds it is about to begin, or stuck: after a while we go on without. */
static void db_wait_for_turn(struct db *db)
{
    int times = 0;

    while (flock(db->turn_fd, LOCK_EX | LOCK_NB) != 0 && db_look_again(db, times) != 0)
        times++;
}

enum err db_begin(struct db *db)
{
    if (db->turn_fd != 0)
        db_wait_for_turn(db);
    enum err e = db_run(db, db->which == ENROLLMENTS ? ENROLLMENT_BEGIN : REGISTRATION_BEGIN);
    if (db->turn_fd != 0)
        (void)flock(db->turn_fd, LOCK_UN);
    return e;
}

enum err db_commit(struct db *db)
{
    return db_run(db, db->which == ENROLLMENTS ? ENROLLMENT_COMMIT : REGISTRATION_COMMIT);
}

bool db_in_transaction(const struct db *db)
{
    return sqlite3_get_autocommit(db->handle) == 0;
}

void db_abandon(struct db *db)
{
    if (db_in_transaction(db))
        (void)!db_script(db, "ROLLBACK", NULL);
}

int db_changes(const struct db *db)
{
    return sqlite3_changes(db->handle);
}

int64_t db_inserted(const struct db *db)
{
    return sqlite3_last_insert_rowid(db->handle);
}

enum err db_checkpoint(struct db *db, enum db_checkpoint how)
{
    static const int modes[] = {
        [DB_CHECKPOINT_PASSIVE] = SQLITE_CHECKPOINT_PASSIVE,
        [DB_CHECKPOINT_RESTART] = SQLITE_CHECKPOINT_RESTART,
        [DB_CHECKPOINT_TRUNCATE] = SQLITE_CHECKPOINT_TRUNCATE,
    };
    int frames = -1, moved = -1;
    int status = sqlite3_wal_checkpoint_v2(db->handle, "main", modes[how], &frames, &moved);

    db->wal_moved = status == SQLITE_OK && frames == moved;
    return status == SQLITE_OK ? ERR_OK : db_error(db, status);
}

static sqlite3_file *db_log_file(struct db *db)
{
    sqlite3_file *file = NULL;

    (void)sqlite3_file_control(db->handle, "main", SQLITE_FCNTL_JOURNAL_POINTER, &file);
    return file != NULL && file->pMethods != NULL ? file : NULL;
}

enum err db_log_sync(struct db *db)
{
    sqlite3_file *file = db_log_file(db);
    int status = file == NULL ? SQLITE_MISUSE : file->pMethods->xSync(file, SQLITE_SYNC_NORMAL);

    return status == SQLITE_OK ? ERR_OK : db_error(db, status);
}

enum err db_log_bytes(struct db *db, int64_t *ret_bytes)
{
    sqlite3_file *file = db_log_file(db);
    sqlite3_int64 bytes = 0;
    int status = file == NULL ? SQLITE_MISUSE : file->pMethods->xFileSize(file, &bytes);

    if (status != SQLITE_OK)
        return db_error(db, status);
    *ret_bytes = bytes;
    return ERR_OK;
}

/* ---- queries ---- */

struct query query_on(struct db *db, enum statement which)
{
    ERR_ASSERT(db->statements[which] != NULL);
    return (struct query){.db = db, .statement = db->statements[which]};
}

static void query_note(struct query *q, int status)
{
    if (q->status == SQLITE_OK)
        q->status = status;
}

void query_put_text(struct query *q, const char *text)
{
    query_note(q, sqlite3_bind_text(q->statement, ++q->parameter, text, -1, SQLITE_STATIC));
}

void query_put_text_span(struct query *q, struct span text)
{
    const char *at = text.len != 0 ? (const char *)text.at : "";

    query_note(q, sqlite3_bind_text64(q->statement, ++q->parameter, at, text.len, SQLITE_STATIC,
                                      SQLITE_UTF8));
}

void query_put_blob(struct query *q, const uint8_t *at, size_t len)
{
    /* An address that is not NULL: a blob of no bytes is not the absence of one. */
    const void *from = len != 0 ? (const void *)at : "";

    query_note(q, sqlite3_bind_blob64(q->statement, ++q->parameter, from, len, SQLITE_STATIC));
}

void query_put_null(struct query *q)
{
    query_note(q, sqlite3_bind_null(q->statement, ++q->parameter));
}

void query_put_integer(struct query *q, int64_t value)
{
    query_note(q, sqlite3_bind_int64(q->statement, ++q->parameter, value));
}

enum err query_row(struct query *q)
{
    if (q->status != SQLITE_OK)
        return db_error(q->db, q->status);
    int status = sqlite3_step(q->statement);
    q->column = 0;
    if (status == SQLITE_ROW)
        return ERR_OK;
    return status == SQLITE_DONE ? ERR_ABSENT : db_error(q->db, status);
}

enum err query_done(struct query *q)
{
    enum err e = query_row(q);

    if (e == ERR_ABSENT)
        return ERR_OK;
    return e == ERR_OK ? ERR_STORE : e;
}

static struct span query_take(struct query *q, int type, size_t min_len, size_t max_len)
{
    int column = q->column++;

    if (sqlite3_column_type(q->statement, column) != type) {
        q->bad = true;
        return span_of(NULL, 0);
    }
    const void *at = sqlite3_column_blob(q->statement, column);
    size_t len = (size_t)sqlite3_column_bytes(q->statement, column);
    if (len < min_len || len > max_len || (at == NULL && len != 0)) {
        q->bad = true;
        return span_of(NULL, 0);
    }
    return span_of(at, len);
}

void query_take_text(struct query *q, size_t min_len, char *ret_text, size_t cap)
{
    struct span text = query_take(q, SQLITE_TEXT, min_len, cap - 1);

    if (q->bad || span_to_text(text, ret_text, cap) != ERR_OK)
        q->bad = true;
}

/* Canonical to the letter: another spelling in the database was not written by us. */
void query_take_regid(struct query *q, struct regid *ret_id)
{
    struct span text = query_take(q, SQLITE_TEXT, 1, REGID_MAX);
    struct regid id;

    if (q->bad || regid_read(text, &id) != ERR_OK || !span_equal(regid_span(&id), text))
        q->bad = true;
    else
        *ret_id = id;
}

void query_take_regid_or_none(struct query *q, struct regid *ret_id)
{
    if (sqlite3_column_type(q->statement, q->column) == SQLITE_TEXT &&
        sqlite3_column_bytes(q->statement, q->column) == 0) {
        q->column++;
        *ret_id = (struct regid){{0}};
        return;
    }
    query_take_regid(q, ret_id);
}

void query_see_blob(struct query *q, size_t min_len, size_t max_len, struct span *ret_bytes)
{
    *ret_bytes = query_take(q, SQLITE_BLOB, min_len, max_len);
}

void query_see_text(struct query *q, size_t max_len, struct span *ret_text)
{
    *ret_text = query_take(q, SQLITE_TEXT, 0, max_len);
}

size_t query_take_blob(struct query *q, size_t min_len, uint8_t *ret_bytes, size_t cap)
{
    struct span bytes = query_take(q, SQLITE_BLOB, min_len, cap);

    if (bytes.len != 0)
        memcpy(ret_bytes, bytes.at, bytes.len);
    return bytes.len;
}

bool query_skip_null(struct query *q)
{
    bool is_null = sqlite3_column_type(q->statement, q->column) == SQLITE_NULL;

    q->column += is_null;
    return is_null;
}

int64_t query_take_integer(struct query *q, int64_t min, int64_t max)
{
    int column = q->column++;

    if (sqlite3_column_type(q->statement, column) != SQLITE_INTEGER) {
        q->bad = true;
        return min;
    }
    int64_t value = sqlite3_column_int64(q->statement, column);
    if (value < min || value > max)
        q->bad = true;
    return value;
}

enum err query_row_end(const struct query *q)
{
    return q->bad ? ERR_STORE : ERR_OK;
}

void query_end(struct query *q)
{
    (void)sqlite3_reset(q->statement);
    (void)sqlite3_clear_bindings(q->statement);
}
