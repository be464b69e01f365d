/* Batches commit without a sync, for SQLite syncs with the write lock in hand and a disk may take its
 * time; batchlog_sync makes them durable afterwards, without the lock.
 *
 * A cut of the power then costs the end of the log and no more, with one exception: when the log is
 * begun anew over the old one, its head must be durable before the first page behind it. Otherwise
 * the old head could come back, and with it old pages of a log that the database has outgrown. So a
 * commit may do without a sync only where it cannot begin the log anew over an old one:
 *
 *   - the log's file is empty, as a truncating checkpoint left it, or
 *   - a reading transaction, the pin, has been open since before this process's last commit. If it
 *     reads from the log, nobody may begin the log anew; if the log held nothing for it, nobody may
 *     move into the database what has been added since, and only a log that was moved is begun anew.
 *
 * Everything else commits with a sync, as SQLite does it. */
#include "internal.h"
#include <stdlib.h>
#include <time.h>

#define LOG_FRAMES_DUE 8000   /* 32 MiB: moved into the database by the importer itself */
#define LOG_FRAMES_LONG 65536 /* somebody else's reading keeps it: let go, so that it can end */
#define LOG_EMPTY_TRIES 5
#define LOG_EMPTY_PAUSE_NS 500000

static enum err log_set_lazy(struct store *s, bool lazy)
{
    if (s->batchlog.lazy == lazy)
        return ERR_OK;
    TRY(db_script(&s->import, lazy ? "PRAGMA synchronous = OFF" : "PRAGMA synchronous = FULL",
                  NULL));
    s->batchlog.lazy = lazy;
    return ERR_OK;
}

static enum err log_pin(struct store *s)
{
    struct batchlog *l = &s->batchlog;

    if (l->pin.handle == NULL)
        TRY(db_open(&l->pin, s->place.path[ENROLLMENTS], DB_READ, STORE_BUSY_WAIT_MS, NULL));
    l->growing = false;
    enum err e = db_script(&l->pin, "BEGIN; SELECT 1 FROM enrollment LIMIT 1", NULL);
    l->pinned = e == ERR_OK;
    if (e != ERR_OK)
        db_abandon(&l->pin);
    return e;
}

static void log_unpin(struct store *s)
{
    struct batchlog *l = &s->batchlog;

    if (l->pin.handle != NULL)
        db_abandon(&l->pin);
    l->pinned = l->growing = false;
}

/* Under the write lock, so the answer lasts. */
static bool log_is_empty(struct store *s)
{
    int64_t bytes = -1;

    return db_log_bytes(&s->import, &bytes) == ERR_OK && bytes == 0;
}

/* Only what is moved already is cut off: no page is written with the write lock in hand. A reader in
 * the way ends soon; it is not waited for with the lock either. */
static void log_cut_off(struct store *s)
{
    (void)sqlite3_busy_timeout(s->import.handle, 0);
    for (int i = 0; i < LOG_EMPTY_TRIES; i++) {
        if (db_checkpoint(&s->import, DB_CHECKPOINT_TRUNCATE) == ERR_OK) {
            s->import.wal_frames = 0;
            (void)!db_log_sync(&s->import);
            break;
        }
        (void)nanosleep(&(struct timespec){.tv_nsec = LOG_EMPTY_PAUSE_NS}, NULL);
    }
    db_take_turns(&s->import, STORE_IMPORT_BUSY_WAIT_MS);
}

/* Leaves the log without a pin, and empty where nobody is in the way. */
static void log_shorten(struct store *s)
{
    struct batchlog *l = &s->batchlog;

    log_unpin(s);
    if (log_set_lazy(s, false) != ERR_OK)
        return;
    enum err e = db_checkpoint(&s->import, DB_CHECKPOINT_PASSIVE);
    if (e == ERR_OK && s->import.wal_moved) {
        log_cut_off(s);
        l->unsynced = false; /* it is in the database, synced */
        l->due = LOG_FRAMES_DUE;
    } else {
        l->due = s->import.wal_frames + LOG_FRAMES_DUE;
    }
    store_place_note(&s->place, &s->import);
}

static enum err log_begin_lazily(struct store *s)
{
    TRY(log_set_lazy(s, true));
    TRY(db_begin(&s->import));
    if (s->batchlog.growing || log_is_empty(s))
        return ERR_OK;
    db_abandon(&s->import);
    TRY(log_set_lazy(s, false));
    return db_begin(&s->import);
}

enum err batchlog_begin(struct store *s)
{
    struct batchlog *l = &s->batchlog;

    s->import.wal_wrote = false;
    if (l->due == 0)
        log_shorten(s);
    if (s->import.wal_frames >= LOG_FRAMES_LONG) {
        log_unpin(s);
        TRY(log_set_lazy(s, false));
        return db_begin(&s->import);
    }
    if (!l->pinned)
        TRY(log_pin(s));
    return log_begin_lazily(s);
}

void batchlog_committed(struct store *s)
{
    struct batchlog *l = &s->batchlog;

    if (!s->import.wal_wrote)
        return;
    l->growing = l->pinned;
    l->unsynced = l->unsynced || l->lazy;
    if (s->import.wal_frames < LOG_FRAMES_DUE)
        l->due = LOG_FRAMES_DUE; /* begun anew meanwhile */
    if (s->import.wal_frames >= l->due && !atomic_load(&s->place.broken))
        log_shorten(s);
}

enum err batchlog_sync(struct store *s)
{
    if (atomic_load(&s->place.broken))
        return ERR_STORE;
    if (!s->batchlog.unsynced)
        return ERR_OK;
    enum err e = db_log_sync(&s->import);
    store_place_note(&s->place, &s->import);
    if (e == ERR_OK)
        s->batchlog.unsynced = false;
    return e;
}

void batchlog_end(struct store *s)
{
    log_unpin(s);
    db_close(&s->batchlog.pin);
    if (s->import.handle != NULL)
        (void)!log_set_lazy(s, false);
}
