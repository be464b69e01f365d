#include "internal.h"
#include "row.h"
#include "schema.h"
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* ---- the place ---- */

static enum err store_place_set(struct store_place *place, const char *data_dir,
                                struct store_reason *ret_reason)
{
    for (int i = 0; i < DATABASE_COUNT; i++) {
        int len = snprintf(place->path[i], DB_PATH_CAP, "%s/db/%s", data_dir,
                           store_schemas[i].file);
        if (len < 0 || len >= DB_PATH_CAP) {
            db_reason(ret_reason, "the name of the data directory is too long");
            return ERR_STORE;
        }
    }
    atomic_init(&place->broken, false);
    return ERR_OK;
}

enum err store_place_open(const struct store_place *place, enum database which,
                          enum db_access access, int busy_timeout_ms, struct db *ret_db,
                          struct store_reason *ret_reason)
{
    TRY(db_open(ret_db, place->path[which], access, busy_timeout_ms, ret_reason));
    enum err e = db_prepare(ret_db, which, ret_reason);
    if (e != ERR_OK)
        db_close(ret_db);
    return e;
}

void store_place_note(struct store_place *place, const struct db *db)
{
    if (db->io_failed)
        atomic_store(&place->broken, true);
}

/* ---- opening ---- */

static enum err store_settle_database(const struct store_place *place, enum database which,
                                      enum store_mode mode, struct store_reason *ret_reason)
{
    struct stat info;
    bool exact = mode == STORE_READ;

    if (stat(place->path[which], &info) != 0) {
        db_reason(ret_reason, "%s is not there", place->path[which]);
        return ERR_ABSENT;
    }
    DB db = {0};
    TRY(db_open(&db, place->path[which], exact ? DB_READ : DB_WRITE, STORE_IMPORT_BUSY_WAIT_MS,
                ret_reason));
    return schema_settle(&db, &store_schemas[which], exact ? SCHEMA_EXACT : SCHEMA_MIGRATE,
                         ret_reason);
}

static enum err store_open_serving(struct store *s, struct store_reason *ret_reason)
{
    TRY(checkpointer_open(&s->place, &s->checkpointer, ret_reason));
    for (int i = 0; i < DATABASE_COUNT; i++)
        TRY(writer_open(&s->place, s->checkpointer, (enum database)i, &s->writers[i], ret_reason));
    return ERR_OK;
}

static enum err store_open_importing(struct store *s, struct store_reason *ret_reason)
{
    TRY(store_place_open(&s->place, ENROLLMENTS, DB_WRITE, STORE_IMPORT_BUSY_WAIT_MS, &s->import,
                         ret_reason));
    db_take_turns(&s->import, STORE_IMPORT_BUSY_WAIT_MS);
    return db_script(&s->import, DB_CACHE_LARGE, ret_reason);
}

static enum err store_open_parts(struct store *s, const char *data_dir,
                                 struct store_reason *ret_reason)
{
    TRY(store_place_set(&s->place, data_dir, ret_reason));
    if (s->mode == STORE_CREATE)
        TRY(create_databases(data_dir, ret_reason));
    for (int i = 0; i < DATABASE_COUNT; i++)
        TRY(store_settle_database(&s->place, (enum database)i, s->mode, ret_reason));
    if (s->mode == STORE_READ)
        return ERR_OK;
    TRY(s->mode == STORE_SERVE ? store_open_serving(s, ret_reason)
                               : store_open_importing(s, ret_reason));
    /* Only now, with the logs there, and every time: creating may have been cut off before its last
     * sync, and SQLite does not say whether its own has worked. */
    return create_sync_directories(data_dir, ret_reason);
}

enum err store_open(const char *data_dir, enum store_mode mode, struct store **ret_store,
                    struct store_reason *ret_reason)
{
    struct store *s = calloc(1, sizeof *s);

    if (s == NULL)
        return ERR_MEMORY;
    s->mode = mode;
    enum err e = store_open_parts(s, data_dir, ret_reason);
    if (e != ERR_OK) {
        store_close(s);
        return e;
    }
    *ret_store = s;
    return ERR_OK;
}

/* The writers before the checkpointer, which then finds all there will be. */
void store_close(struct store *s)
{
    if (s == NULL)
        return;
    ERR_ASSERT(!s->in_batch);
    for (int i = 0; i < DATABASE_COUNT; i++)
        writer_close(s->writers[i]);
    checkpointer_close(s->checkpointer);
    batchlog_end(s);
    if (s->import.handle != NULL && !atomic_load(&s->place.broken))
        (void)!db_checkpoint(&s->import, DB_CHECKPOINT_PASSIVE);
    db_close(&s->import);
    secret_wipe(&s->place.audit_key);
    free(s);
}

bool store_is_broken(const struct store *s)
{
    return atomic_load(&s->place.broken);
}

enum err store_registration_assign(struct store *s, const struct store_registration *row,
                                   struct store_waiter *w)
{
    struct writer *writer = s->writers[REGISTRATIONS];
    struct writer_entry entry;

    ERR_ASSERT(writer != NULL && row->srk_len <= sizeof row->srk &&
               row->payload.len <= STORE_PAYLOAD_CAP);
    entry.what = WRITER_ASSIGN;
    entry.waiter = w;
    entry.row = *row;
    return writer_put(writer, &entry);
}

/* ---- the audit log ---- */

static enum err store_catch_up_locked(const struct store_place *place, struct db *db)
{
    struct audit_chain chain = {.key = &place->audit_key};

    TRY(db_begin(db));
    TRY(audit_catch_up(db, &chain));
    TRY(audit_end(db, &chain));
    return db_commit(db);
}

static enum err store_catch_up(struct store_place *place, enum database which)
{
    DB db = {0};

    TRY(store_place_open(place, which, DB_WRITE, STORE_BUSY_WAIT_MS, &db, NULL));
    db_take_turns(&db, STORE_BUSY_WAIT_MS);
    enum err e = store_catch_up_locked(place, &db);
    store_place_note(place, &db);
    db_abandon(&db);
    return e == ERR_STORE_BUSY || e == ERR_STORE_FULL ? ERR_OK : e;
}

enum err store_audit_key(struct store *s, const struct secret *key)
{
    ERR_ASSERT(s->mode != STORE_READ && !s->place.audit_keyed);
    s->place.audit_key = *key;
    s->place.audit_keyed = true;
    for (int i = 0; i < DATABASE_COUNT; i++)
        TRY(store_catch_up(&s->place, (enum database)i));
    return ERR_OK;
}

enum err store_audit_append(struct store *s, const struct store_audit *entry)
{
    struct writer *writer = s->writers[ENROLLMENTS];
    struct writer_entry waiting;

    ERR_ASSERT(writer != NULL);
    waiting.what = WRITER_AUDIT;
    waiting.waiter = NULL;
    waiting.audit = *entry;
    return writer_put(writer, &waiting);
}

enum err store_thread_start(const char *name, void *(*run)(void *), void *arg,
                            pthread_t *ret_thread)
{
    sigset_t all, before;
    pthread_t thread;

    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    int failed = pthread_create(&thread, NULL, run, arg);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (failed != 0)
        return ERR_MEMORY;
    (void)pthread_setname_np(thread, name);
    *ret_thread = thread;
    return ERR_OK;
}

/* ---- checking ---- */

static enum err store_check_integrity(struct db *db, enum statement integrity,
                                      struct store_reason *ret_reason)
{
    char finding[200];
    QUERY q = query_on(db, integrity);

    TRY(query_row(&q));
    query_take_text(&q, 0, finding, sizeof finding);
    if (query_row_end(&q) != ERR_OK || strcmp(finding, "ok") != 0) {
        db_reason(ret_reason, "%s is damaged: %s", db->path, q.bad ? "" : finding);
        return ERR_STORE;
    }
    return ERR_OK;
}

static enum err store_check_rows(struct db *db, enum database which,
                                 struct store_reason *ret_reason)
{
    QUERY q = query_on(db, which == ENROLLMENTS ? ENROLLMENT_ALL : REGISTRATION_ALL);
    struct store_enrollment enrollment;
    struct store_registration registration;
    enum err e = ERR_OK;
    uint64_t sound = 0;

    while (e == ERR_OK) {
        e = which == ENROLLMENTS ? row_take_enrollment(&q, &enrollment)
                                 : row_take_registration(&q, &registration);
        sound += e == ERR_OK;
    }
    if (e == ERR_ABSENT)
        return ERR_OK;
    db_reason(ret_reason, "%s: the row after %llu sound ones cannot be read", db->path,
              (unsigned long long)sound);
    return e;
}

static enum err store_check_database(const struct store_place *place, enum database which,
                                     struct store_reason *ret_reason)
{
    DB db = {0};

    TRY(store_place_open(place, which, DB_READ, STORE_BUSY_WAIT_MS, &db, ret_reason));
    enum err e = store_check_integrity(
        &db, which == ENROLLMENTS ? ENROLLMENT_INTEGRITY : REGISTRATION_INTEGRITY, ret_reason);
    return e == ERR_OK ? store_check_rows(&db, which, ret_reason) : e;
}

enum err store_check(struct store *s, struct store_reason *ret_reason)
{
    for (int i = 0; i < DATABASE_COUNT; i++)
        TRY(store_check_database(&s->place, (enum database)i, ret_reason));
    return ERR_OK;
}
