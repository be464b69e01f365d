/* One thread a database commits: it takes whatever waits, writes it in one transaction, and tells each
 * waiter when the commit is durable. While one group is being synced the next one gathers, so groups
 * grow with the load by themselves and nobody waits for company. */
#include "internal.h"
#include "row.h"
#include <pthread.h>
#include <stdlib.h>

#define WRITER_QUEUE_ENTRIES 1024
#define WRITER_GROUP_MAX 128 /* entries, or changes in them: an importer waits no longer than for these */

/* Audit entries that nobody waits for, not written: one entry tells of them. */
struct writer_lost {
    uint64_t count;
    int64_t at_s; /* the last one */
};

struct writer {
    struct writer_desk desk;
    struct checkpointer *checkpointer;
    pthread_t thread;
    bool started;
    pthread_mutex_t lock;
    pthread_cond_t work;
    /* under the lock; the entries from first on, count of them, belong to the thread */
    struct writer_entry *queue;
    int first, count;
    bool idle, stopping;
    struct writer_lost lost;
};

static struct writer_entry *writer_entry_at(struct writer *w, int index)
{
    return &w->queue[index % WRITER_QUEUE_ENTRIES];
}

/* ---- one group ---- */

bool desk_is_lost(const struct writer_desk *d, enum err e)
{
    return e == ERR_STORE_FULL || e == ERR_MEMORY || d->db.io_failed || !db_in_transaction(&d->db);
}

static enum err writer_apply(struct writer_desk *d, struct writer_entry *entry,
                             enum err *ret_outcome)
{
    *ret_outcome = ERR_OK;
    switch (entry->what) {
    case WRITER_ASSIGN:
        return assign_apply(d, &entry->row, ret_outcome);
    case WRITER_CHANGES:
        return change_apply(d, entry->changes.list, entry->changes.count);
    case WRITER_AUDIT:
        return audit_add(&d->db, &d->chain, &entry->audit);
    }
    return ERR_INTERNAL;
}

static enum err writer_own_up(struct writer_desk *d, const struct writer_lost *lost)
{
    struct store_audit entry = {.who = "cradled", .what = "lose", .object = "audit",
                                .outcome = ERR_UNAVAILABLE, .at_s = lost->at_s};
    struct buf reason = BUF_OVER(entry.reason);

    if (lost->count == 0)
        return ERR_OK;
    buf_put_text(&reason, "entries before this one that could not be written: ");
    buf_put_decimal(&reason, (int64_t)lost->count);
    TRY(buf_end_text(&reason));
    return audit_add(&d->db, &d->chain, &entry);
}

static enum err writer_transact(struct writer *w, const struct writer_lost *lost, int count,
                                enum err ret_outcomes[])
{
    struct writer_desk *d = &w->desk;
    struct store_place *place = d->place;

    if (atomic_load(&place->broken))
        return ERR_STORE;
    d->chain = (struct audit_chain){.key = place->audit_keyed ? &place->audit_key : NULL};
    TRY(db_begin(&d->db));
    TRY(writer_own_up(d, lost));
    for (int i = 0; i < count; i++)
        TRY(writer_apply(d, writer_entry_at(w, w->first + i), &ret_outcomes[i]));
    TRY(audit_end(&d->db, &d->chain));
    return db_commit(&d->db);
}

/* Under the lock. What was lost is somebody's to write down, or still to be. */
static void writer_lose(struct writer *w, uint64_t count, int64_t at_s)
{
    if (count == 0)
        return;
    w->lost.count += count;
    w->lost.at_s = at_s;
}

static void writer_fail_entry(struct writer *w, struct writer_entry *entry, enum err e)
{
    if (entry->what == WRITER_CHANGES)
        for (size_t i = 0; i < entry->changes.count; i++)
            entry->changes.list[i].outcome = e;
    if (entry->what != WRITER_AUDIT)
        return;
    (void)pthread_mutex_lock(&w->lock);
    writer_lose(w, 1, entry->audit.at_s);
    (void)pthread_mutex_unlock(&w->lock);
}

/* On any error of the commit all of the group is told so, conflicts too: they may have been with
 * neighbours that were not written either. */
static void writer_fail(struct writer *w, int count, const struct writer_lost *lost, enum err e,
                        enum err ret_outcomes[])
{
    db_abandon(&w->desk.db);
    for (int i = 0; i < count; i++) {
        writer_fail_entry(w, writer_entry_at(w, w->first + i), e);
        ret_outcomes[i] = e;
    }
    (void)pthread_mutex_lock(&w->lock);
    writer_lose(w, lost->count, lost->at_s);
    (void)pthread_mutex_unlock(&w->lock);
}

static void writer_commit(struct writer *w, const struct writer_lost *lost, int count,
                          enum err ret_outcomes[])
{
    struct writer_desk *d = &w->desk;

    checkpointer_enter(w->checkpointer, d->which);
    enum err e = writer_transact(w, lost, count, ret_outcomes);
    store_place_note(d->place, &d->db);
    if (e != ERR_OK)
        writer_fail(w, count, lost, e, ret_outcomes);
    checkpointer_leave(w->checkpointer, d->which, d->db.wal_frames);
}

/* ---- the thread ---- */

static int writer_weight(const struct writer_entry *entry)
{
    return entry->what == WRITER_CHANGES ? (int)entry->changes.count : 1;
}

static int writer_group(struct writer *w)
{
    int count = 0, weight = 0;

    while (count < w->count && weight < WRITER_GROUP_MAX)
        weight += writer_weight(writer_entry_at(w, w->first + count++));
    return count;
}

static int writer_wait(struct writer *w, struct writer_lost *ret_lost)
{
    (void)pthread_mutex_lock(&w->lock);
    w->idle = true;
    while (w->count == 0 && !w->stopping)
        (void)pthread_cond_wait(&w->work, &w->lock);
    w->idle = false;
    int count = writer_group(w);
    *ret_lost = w->lost;
    w->lost.count = 0;
    (void)pthread_mutex_unlock(&w->lock);
    return count;
}

/* A waiter is gone as soon as it was told: its place is given up before. */
static void writer_tell(struct writer *w, int count, const enum err outcomes[])
{
    struct store_waiter *waiters[WRITER_GROUP_MAX];

    for (int i = 0; i < count; i++)
        waiters[i] = writer_entry_at(w, w->first + i)->waiter;
    (void)pthread_mutex_lock(&w->lock);
    w->first = (w->first + count) % WRITER_QUEUE_ENTRIES;
    w->count -= count;
    (void)pthread_mutex_unlock(&w->lock);
    for (int i = 0; i < count; i++)
        if (waiters[i] != NULL)
            waiters[i]->done(waiters[i], outcomes[i]);
}

static void *writer_run(void *arg)
{
    struct writer *w = arg;
    struct writer_lost lost;
    enum err outcomes[WRITER_GROUP_MAX];

    for (;;) {
        int count = writer_wait(w, &lost);
        if (count == 0)
            return NULL;
        writer_commit(w, &lost, count, outcomes);
        writer_tell(w, count, outcomes);
    }
}

/* ---- from outside ---- */

static void writer_copy(struct writer_entry *to, const struct writer_entry *from)
{
    to->what = from->what;
    to->waiter = from->waiter;
    if (from->what == WRITER_ASSIGN)
        to->row = from->row;
    else if (from->what == WRITER_CHANGES)
        to->changes = from->changes;
    else
        to->audit = from->audit;
}

static enum err writer_enqueue(struct writer *w, const struct writer_entry *entry, bool *ret_wake)
{
    if (w->count == WRITER_QUEUE_ENTRIES || w->stopping) {
        writer_lose(w, entry->what == WRITER_AUDIT, entry->audit.at_s);
        return ERR_UNAVAILABLE;
    }
    writer_copy(writer_entry_at(w, w->first + w->count), entry);
    w->count++;
    *ret_wake = w->idle;
    w->idle = false;
    return ERR_OK;
}

/* Wakes the thread only after letting go of what it needs first: else it would wake up to wait. */
enum err writer_put(struct writer *w, const struct writer_entry *entry)
{
    bool wake = false;

    if (atomic_load(&w->desk.place->broken))
        return ERR_STORE;
    (void)pthread_mutex_lock(&w->lock);
    enum err e = writer_enqueue(w, entry, &wake);
    (void)pthread_mutex_unlock(&w->lock);
    if (wake)
        (void)pthread_cond_signal(&w->work);
    return e;
}

/* Committing, SQLite 3.40 often walks through all of its page cache: at 64 MiB that cost a third of the
 * thread's time, and the kernel has the pages anyway. */
static enum err writer_open_database(struct writer_desk *d, struct store_reason *ret_reason)
{
    TRY(store_place_open(d->place, d->which, DB_WRITE, STORE_BUSY_WAIT_MS, &d->db, ret_reason));
    return db_script(&d->db, DB_CACHE_SMALL, ret_reason);
}

static enum err writer_open_enrollments(struct writer_desk *d, struct store_reason *ret_reason)
{
    if (d->which == ENROLLMENTS) {
        db_take_turns(&d->db, STORE_BUSY_WAIT_MS);
        return ERR_OK;
    }
    TRY(store_place_open(d->place, ENROLLMENTS, DB_READ, STORE_BUSY_WAIT_MS, &d->enrollments,
                         ret_reason));
    return db_script(&d->enrollments, DB_CACHE_MIDDLE, ret_reason);
}

static enum err writer_open_parts(struct writer *w, struct store_reason *ret_reason)
{
    static const char *const names[DATABASE_COUNT] = {"store-changes", "store-writer"};

    w->queue = calloc(WRITER_QUEUE_ENTRIES, sizeof *w->queue);
    if (w->queue == NULL)
        return ERR_MEMORY;
    TRY(writer_open_database(&w->desk, ret_reason));
    TRY(writer_open_enrollments(&w->desk, ret_reason));
    TRY(store_thread_start(names[w->desk.which], writer_run, w, &w->thread));
    w->started = true;
    return ERR_OK;
}

enum err writer_open(struct store_place *place, struct checkpointer *c, enum database which,
                     struct writer **ret_writer, struct store_reason *ret_reason)
{
    struct writer *w = calloc(1, sizeof *w);

    if (w == NULL)
        return ERR_MEMORY;
    w->desk.place = place;
    w->desk.which = which;
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
    db_close(&w->desk.enrollments);
    db_close(&w->desk.db);
    (void)pthread_cond_destroy(&w->work);
    (void)pthread_mutex_destroy(&w->lock);
    free(w->queue);
    free(w);
}
