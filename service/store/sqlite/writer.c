/* One thread commits registrations: it takes whatever waits, writes it in one transaction, and tells
 * each waiter when the commit is durable. While one group is being synced the next one gathers, so
 * groups grow with the load by themselves and nobody waits for company. */
#include "internal.h"
#include "row.h"
#include <pthread.h>
#include <stdlib.h>

#define WRITER_QUEUE_ROWS 1024
#define WRITER_GROUP_MAX 128

struct writer_entry {
    struct store_registration row;
    struct store_waiter *waiter;
};

struct writer {
    struct store_place *place;
    struct checkpointer *checkpointer;
    struct db enrollments, registrations;
    pthread_t thread;
    bool started;
    pthread_mutex_t lock;
    pthread_cond_t work;
    /* under the lock; the entries from first on, count of them, belong to the thread */
    struct writer_entry *queue;
    int first, count;
    bool idle, stopping;
};

static struct writer_entry *writer_entry_at(struct writer *w, int index)
{
    return &w->queue[index % WRITER_QUEUE_ROWS];
}

/* ---- one row ---- */

static enum err writer_check_enrollment(struct writer *w, const struct store_registration *row)
{
    QUERY q = query_on(&w->enrollments, ENROLLMENT_ADMITS);

    query_put_text(&q, row->id.text);
    query_put_blob(&q, row->ek_hash, sizeof row->ek_hash);
    enum err e = query_row(&q);
    return e == ERR_ABSENT ? ERR_CONFLICT : e;
}

/* Compare and set: the insert does nothing if there is a row, the update does nothing unless the row
 * has the generation before. */
static enum err writer_put(struct writer *w, const struct store_registration *row)
{
    bool first = row->generation == 1;
    QUERY q = query_on(&w->registrations, first ? REGISTRATION_INSERT : REGISTRATION_UPDATE);

    row_put_registration(&q, row);
    TRY(query_done(&q));
    return db_changes(&w->registrations) == 1 ? ERR_OK : ERR_CONFLICT;
}

/* An enrollment that is disabled between this look and the commit counts as disabled after it. */
static enum err writer_apply(struct writer *w, const struct store_registration *row)
{
    if (row->generation == 0 || row->generation > INT64_MAX)
        return ERR_CONFLICT;
    TRY(writer_check_enrollment(w, row));
    return writer_put(w, row);
}

/* ---- one group ---- */

/* A row that cannot be written does not fail its neighbours, unless the transaction went with it. */
static bool writer_ends_group(const struct writer *w, enum err e)
{
    return e == ERR_STORE_FULL || e == ERR_MEMORY || w->registrations.io_failed ||
           !db_in_transaction(&w->registrations);
}

static enum err writer_transact(struct writer *w, int count, enum err ret_outcomes[])
{
    if (atomic_load(&w->place->broken))
        return ERR_STORE;
    TRY(db_run(&w->registrations, REGISTRATION_BEGIN));
    for (int i = 0; i < count; i++) {
        enum err e = writer_apply(w, &writer_entry_at(w, w->first + i)->row);
        if (e != ERR_OK && writer_ends_group(w, e))
            return e;
        ret_outcomes[i] = e;
    }
    return db_run(&w->registrations, REGISTRATION_COMMIT);
}

/* On any error of the commit all of the group is told so, conflicts too: they may have been with
 * neighbours that were not written either. */
static void writer_commit(struct writer *w, int count, enum err ret_outcomes[])
{
    checkpointer_enter(w->checkpointer);
    enum err e = writer_transact(w, count, ret_outcomes);
    store_place_note(w->place, &w->registrations);
    if (e != ERR_OK)
        db_abandon(&w->registrations);
    checkpointer_leave(w->checkpointer, w->registrations.wal_frames);
    for (int i = 0; i < count && e != ERR_OK; i++)
        ret_outcomes[i] = e;
}

/* ---- the thread ---- */

static int writer_wait(struct writer *w)
{
    w->idle = true;
    while (w->count == 0 && !w->stopping)
        (void)pthread_cond_wait(&w->work, &w->lock);
    w->idle = false;
    return w->count < WRITER_GROUP_MAX ? w->count : WRITER_GROUP_MAX;
}

/* A waiter is gone as soon as it was told: its place is given up before. */
static void writer_tell(struct writer *w, int count, const enum err outcomes[])
{
    struct store_waiter *waiters[WRITER_GROUP_MAX];

    for (int i = 0; i < count; i++)
        waiters[i] = writer_entry_at(w, w->first + i)->waiter;
    (void)pthread_mutex_lock(&w->lock);
    w->first = (w->first + count) % WRITER_QUEUE_ROWS;
    w->count -= count;
    (void)pthread_mutex_unlock(&w->lock);
    for (int i = 0; i < count; i++)
        waiters[i]->done(waiters[i], outcomes[i]);
}

static void *writer_run(void *arg)
{
    struct writer *w = arg;
    enum err outcomes[WRITER_GROUP_MAX];

    for (;;) {
        (void)pthread_mutex_lock(&w->lock);
        int count = writer_wait(w);
        (void)pthread_mutex_unlock(&w->lock);
        if (count == 0)
            return NULL;
        writer_commit(w, count, outcomes);
        writer_tell(w, count, outcomes);
    }
}

/* ---- from outside ---- */

static enum err writer_enqueue(struct writer *w, const struct store_registration *row,
                               struct store_waiter *waiter, bool *ret_wake)
{
    if (w->count == WRITER_QUEUE_ROWS || w->stopping)
        return ERR_UNAVAILABLE;
    struct writer_entry *entry = writer_entry_at(w, w->first + w->count);
    entry->row = *row;
    entry->waiter = waiter;
    w->count++;
    *ret_wake = w->idle;
    w->idle = false;
    return ERR_OK;
}

/* Wakes the thread only after letting go of what it needs first: else it would wake up to wait. */
enum err writer_assign(struct writer *w, const struct store_registration *row,
                       struct store_waiter *waiter)
{
    bool wake = false;

    ERR_ASSERT(row->srk_len <= sizeof row->srk);
    if (atomic_load(&w->place->broken))
        return ERR_STORE;
    (void)pthread_mutex_lock(&w->lock);
    enum err e = writer_enqueue(w, row, waiter, &wake);
    (void)pthread_mutex_unlock(&w->lock);
    if (wake)
        (void)pthread_cond_signal(&w->work);
    return e;
}

static enum err writer_open_parts(struct writer *w, struct store_reason *ret_reason)
{
    w->queue = calloc(WRITER_QUEUE_ROWS, sizeof *w->queue);
    if (w->queue == NULL)
        return ERR_MEMORY;
    TRY(store_place_open(w->place, ENROLLMENTS, DB_READ, STORE_BUSY_WAIT_MS, &w->enrollments,
                         ret_reason));
    TRY(store_place_open(w->place, REGISTRATIONS, DB_WRITE, STORE_BUSY_WAIT_MS, &w->registrations,
                         ret_reason));
    TRY(db_script(&w->enrollments, DB_CACHE_MIDDLE, ret_reason));
    /* Committing, SQLite 3.40 often walks through all of its page cache: at 64 MiB that cost a third
     * of the thread's time, and the kernel has the pages anyway. */
    TRY(db_script(&w->registrations, DB_CACHE_SMALL, ret_reason));
    TRY(store_thread_start("store-writer", writer_run, w, &w->thread));
    w->started = true;
    return ERR_OK;
}

enum err writer_open(struct store_place *place, struct checkpointer *c, struct writer **ret_writer,
                     struct store_reason *ret_reason)
{
    struct writer *w = calloc(1, sizeof *w);

    if (w == NULL)
        return ERR_MEMORY;
    w->place = place;
    w->checkpointer = c;
    (void)pthread_mutex_init(&w->lock, NULL);
    (void)pthread_cond_init(&w->work, NULL);
    enum err e = writer_open_parts(w, ret_reason);
    if (e != ERR_OK) {
        writer_close(w);
        return e;
    }
    *ret_writer = w;
    return ERR_OK;
}

static void writer_stop(struct writer *w)
{
    if (!w->started)
        return;
    (void)pthread_mutex_lock(&w->lock);
    w->stopping = true;
    (void)pthread_cond_signal(&w->work);
    (void)pthread_mutex_unlock(&w->lock);
    (void)pthread_join(w->thread, NULL);
}

void writer_close(struct writer *w)
{
    if (w == NULL)
        return;
    writer_stop(w);
    db_close(&w->enrollments);
    db_close(&w->registrations);
    (void)pthread_cond_destroy(&w->work);
    (void)pthread_mutex_destroy(&w->lock);
    free(w->queue);
    free(w);
}
