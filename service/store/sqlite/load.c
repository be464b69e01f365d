/* The first load: a fresh file without indexes and without a journal, then the indexes, then one
 * rename. Until that moment nothing has happened; after it all has. */
#include "internal.h"
#include "row.h"
#include "schema.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Written into the file that was replaced, over its application_id: who opened it a moment before must
 * not take it for a database without enrollments. */
#define LOAD_DEAD "dead"
#define LOAD_DEAD_AT 68

struct store_load {
    struct store *store;
    struct db db;
    char path[DB_PATH_CAP];
    int64_t rows;
};

static enum err load_lock(struct store *s)
{
    uint64_t count = 0;

    /* Leaving the log needs the file for oneself: it fails if any other process has it open. */
    (void)sqlite3_busy_timeout(s->import.handle, 0);
    enum err e = db_script(&s->import, "PRAGMA journal_mode = DELETE", NULL);
    (void)sqlite3_busy_timeout(s->import.handle, STORE_IMPORT_BUSY_WAIT_MS);
    TRY(e);
    TRY(db_script(&s->import, "BEGIN EXCLUSIVE", NULL));
    TRY(row_find_number(&s->import, ENROLLMENT_COUNT, &count));
    return count == 0 ? ERR_OK : ERR_DUPLICATE;
}

static void load_unlock(struct store *s)
{
    db_abandon(&s->import);
    (void)!db_script(&s->import, "PRAGMA journal_mode = WAL", NULL);
}

static void load_remove(const struct store_load *l)
{
    static const char *const tails[] = {"", "-wal", "-shm", "-journal"};
    char path[DB_PATH_CAP + 16];

    for (int i = 0; i < 4; i++) {
        (void)snprintf(path, sizeof path, "%s%s", l->path, tails[i]);
        (void)unlink(path);
    }
}

static enum err load_make(struct store_load *l, struct store_reason *ret_reason)
{
    load_remove(l);
    int fd = open(l->path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0) {
        db_reason(ret_reason, "%s: %s", l->path, strerror(errno));
        return ERR_STORE;
    }
    (void)close(fd);
    TRY(db_open(&l->db, l->path, DB_WRITE, STORE_BUSY_WAIT_MS, ret_reason));
    TRY(db_script(&l->db,
                  "PRAGMA journal_mode = DELETE; PRAGMA locking_mode = EXCLUSIVE;"
                  "PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF;",
                  ret_reason));
    TRY(schema_settle(&l->db, &store_schemas[ENROLLMENTS], SCHEMA_NEW, ret_reason));
    TRY(db_script(&l->db,
                  "DROP INDEX enrollment_id; DROP INDEX enrollment_key; DROP INDEX "
                  "enrollment_device; PRAGMA cache_size = -262144; PRAGMA threads = 2; PRAGMA temp_store = FILE;",
                  ret_reason));
    TRY(db_prepare(&l->db, ENROLLMENTS, ret_reason));
    return db_script(&l->db, "BEGIN", ret_reason);
}

enum err store_load_begin(struct store *s, struct store_load **ret_load,
                          struct store_reason *ret_reason)
{
    ERR_ASSERT(s->import.handle != NULL && !s->in_batch);
    struct store_load *l = calloc(1, sizeof *l);
    if (l == NULL)
        return ERR_MEMORY;
    l->store = s;
    (void)snprintf(l->path, sizeof l->path, "%.*s.load", DB_PATH_CAP - 8,
                   s->place.path[ENROLLMENTS]);
    enum err e = load_lock(s);
    if (e == ERR_OK) {
        e = load_make(l, ret_reason);
        if (e != ERR_OK)
            load_remove(l);
    }
    if (e != ERR_OK) {
        db_close(&l->db);
        load_unlock(s);
        free(l);
        return e;
    }
    s->in_batch = true;
    *ret_load = l;
    return ERR_OK;
}

enum err store_load_put(struct store_load *l, const struct store_enrollment *row)
{
    ERR_ASSERT(row->ek_len >= 1 && row->ek_len <= sizeof row->ek);
    QUERY q = query_on(&l->db, ENROLLMENT_APPEND);
    row_put_enrollment(&q, row);
    TRY(query_done(&q));
    l->rows++;
    return ERR_OK;
}

enum err store_load_certificate(struct store_load *l, struct span der)
{
    QUERY q = query_on(&l->db, CERTIFICATE_APPEND);
    query_put_integer(&q, l->rows);
    query_put_blob(&q, der.at, der.len);
    return query_done(&q);
}

enum err store_load_profile(struct store_load *l, const struct store_profile *profile,
                            int64_t *ret_number)
{
    if (batch_profile_is_empty(profile)) {
        *ret_number = 0;
        return ERR_OK;
    }
    {
        QUERY q = query_on(&l->db, PROFILE_PUT);
        row_put_profile(&q, profile);
        TRY(query_done(&q));
    }
    return row_find_profile_number(&l->db, profile, ret_number);
}

enum err store_load_find(struct store_load *l, int64_t number, struct store_enrollment *ret_row)
{
    QUERY q = query_on(&l->db, ENROLLMENT_BY_NUMBER);
    query_put_integer(&q, number);
    return row_take_enrollment(&q, ret_row);
}

/* What SQLite says of its own work: the tree is sound, and each index has as many rows as the table. */
static enum err load_check(struct store_load *l, struct store_reason *ret_reason)
{
    static const char *const counts[] = {
        "SELECT count(*) FROM enrollment NOT INDEXED",
        "SELECT count(*) FROM enrollment INDEXED BY enrollment_id",
        "SELECT count(*) FROM enrollment INDEXED BY enrollment_key",
    };
    for (int i = 0; i < 3; i++) {
        int64_t count = -1;
        TRY(db_pragma_integer(&l->db, counts[i], &count, ret_reason));
        if (count != l->rows) {
            db_reason(ret_reason, "%s holds %lld rows, not %lld", l->path, (long long)count,
                      (long long)l->rows);
            return ERR_STORE;
        }
    }
    return ERR_OK;
}

static enum err load_sync(const char *path, struct store_reason *ret_reason)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    bool ok = fd >= 0 && fsync(fd) == 0;
    int why = errno;

    if (fd >= 0)
        (void)close(fd);
    if (!ok)
        db_reason(ret_reason, "%s: %s", path, strerror(why));
    return ok ? ERR_OK : why == ENOSPC || why == EDQUOT ? ERR_STORE_FULL : ERR_STORE;
}

/* The old file is ours alone until the end: nobody reads it as empty, and nobody the new one before
 * it is durable. */
static enum err load_publish(struct store_load *l, struct store_reason *ret_reason)
{
    struct store *s = l->store;
    char directory[DB_PATH_CAP];

    (void)snprintf(directory, sizeof directory, "%s", l->path);
    *strrchr(directory, '/') = 0;
    TRY(load_sync(l->path, ret_reason));
    int old = open(s->place.path[ENROLLMENTS], O_WRONLY | O_CLOEXEC);
    if (old < 0 || rename(l->path, s->place.path[ENROLLMENTS]) != 0) {
        db_reason(ret_reason, "%s: %s", l->path, strerror(errno));
        if (old >= 0) {
            db_close(&s->import);
            (void)close(old);
        }
        return ERR_STORE;
    }
    if (pwrite(old, LOAD_DEAD, sizeof LOAD_DEAD - 1, LOAD_DEAD_AT) != sizeof LOAD_DEAD - 1)
        db_reason(ret_reason, "the file that was replaced could not be marked");
    enum err e = load_sync(directory, ret_reason);
    db_close(&s->import);
    (void)close(old); /* not before: it would let go of the other's lock too */
    TRY(e);
    TRY(store_place_open(&s->place, ENROLLMENTS, DB_WRITE, STORE_IMPORT_BUSY_WAIT_MS, &s->import,
                         ret_reason));
    return db_script(&s->import, DB_CACHE_LARGE, ret_reason);
}

static enum err load_finish(struct store_load *l, struct store_reason *ret_reason)
{
    TRY(db_script(&l->db, schema_enrollment_indexes, ret_reason));
    TRY(db_script(&l->db, "COMMIT", ret_reason));
    TRY(load_check(l, ret_reason));
    db_close(&l->db);
    return load_publish(l, ret_reason);
}

enum err store_load_commit(struct store_load *l, struct store_reason *ret_reason)
{
    struct store *s = l->store;
    enum err e = load_finish(l, ret_reason);

    if (e != ERR_OK) {
        store_load_abandon(l);
        return e;
    }
    s->in_batch = false;
    free(l);
    return ERR_OK;
}

void store_load_abandon(struct store_load *l)
{
    if (l == NULL)
        return;
    db_close(&l->db);
    load_remove(l);
    if (l->store->import.handle != NULL)
        load_unlock(l->store);
    l->store->in_batch = false;
    free(l);
}
