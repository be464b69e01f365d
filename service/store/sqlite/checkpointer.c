/* Moving the logs into the databases costs two fsyncs and many page writes: on this thread, never on
 * the writer's. A passive checkpoint disturbs nobody, but under unbroken load it never quite catches
 * up with the writer, and the log would grow without end; so a long log is followed by a restart,
 * which holds the writer up for the few pages that the passive one left over. What an importer writes
 * into the log of enrollments is looked after at each tick. */
#include "internal.h"
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#define CHECKPOINT_STEP_FRAMES 1000    /* 4 MiB of log */
#define CHECKPOINT_RESTART_FRAMES 8000
#define CHECKPOINT_TICK_S 2            /* for what an importer wrote, and after a burst */
#define CHECKPOINT_BUSY_WAIT_MS 50     /* a restart waits that long for a long reader, lock in hand */

/* One database, and its writer. */
struct side {
    int frames;      /* in the log after the writer's last commit */
    int due;         /* at so many the next checkpoint is worth its price */
    bool writing;    /* the writer is inside a transaction */
    bool restarting; /* it may not begin another */
};

struct checkpointer {
    struct store_place *place;
    struct db db[DATABASE_COUNT];
    pthread_t thread;
    bool started;
    pthread_mutex_t lock;
    pthread_cond_t wanted; /* for this thread */
    pthread_cond_t opened; /* for the writers */
    /* under the lock */
    struct side sides[DATABASE_COUNT];
    bool stopping;
};

static void checkpointer_set_wait(pthread_cond_t *ret_cond)
{
    pthread_condattr_t monotonic;

    (void)pthread_condattr_init(&monotonic);
    (void)pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    (void)pthread_cond_init(ret_cond, &monotonic);
    (void)pthread_condattr_destroy(&monotonic);
}

void checkpointer_enter(struct checkpointer *c, enum database which)
{
    (void)pthread_mutex_lock(&c->lock);
    while (c->sides[which].restarting)
        (void)pthread_cond_wait(&c->opened, &c->lock);
    c->sides[which].writing = true;
    (void)pthread_mutex_unlock(&c->lock);
}

void checkpointer_leave(struct checkpointer *c, enum database which, int wal_frames)
{
    struct side *s = &c->sides[which];

    (void)pthread_mutex_lock(&c->lock);
    if (wal_frames < s->frames) /* the writer began the log anew */
        s->due = CHECKPOINT_STEP_FRAMES;
    s->frames = wal_frames;
    s->writing = false;
    if (s->frames >= s->due || s->restarting)
        (void)pthread_cond_signal(&c->wanted);
    (void)pthread_mutex_unlock(&c->lock);
}

static enum err checkpointer_do(struct checkpointer *c, enum database which,
                                enum db_checkpoint how)
{
    enum err e = db_checkpoint(&c->db[which], how);

    store_place_note(c->place, &c->db[which]);
    return e;
}

/* SQLite's own waiting for the writer is a poll that a busy writer never lets through: it is kept out
 * here instead. */
static enum err checkpointer_restart(struct checkpointer *c, enum database which)
{
    struct side *s = &c->sides[which];

    (void)pthread_mutex_lock(&c->lock);
    s->restarting = true;
    while (s->writing)
        (void)pthread_cond_wait(&c->wanted, &c->lock);
    (void)pthread_mutex_unlock(&c->lock);
    enum err e = checkpointer_do(c, which, DB_CHECKPOINT_RESTART);
    (void)pthread_mutex_lock(&c->lock);
    s->restarting = false;
    (void)pthread_cond_broadcast(&c->opened);
    (void)pthread_mutex_unlock(&c->lock);
    return e;
}

/* Returns at how many frames to come again. */
static int checkpointer_round(struct checkpointer *c, enum database which, int frames)
{
    (void)!checkpointer_do(c, which, DB_CHECKPOINT_PASSIVE);
    if (frames < CHECKPOINT_RESTART_FRAMES || atomic_load(&c->place->broken))
        return frames + CHECKPOINT_STEP_FRAMES;
    if (checkpointer_restart(c, which) == ERR_OK)
        return CHECKPOINT_STEP_FRAMES;
    return frames + CHECKPOINT_RESTART_FRAMES;
}

static bool checkpointer_is_due(const struct checkpointer *c, enum database which)
{
    return c->sides[which].frames >= c->sides[which].due;
}

/* True: there is work. False: the tick passed, or it is over. */
static bool checkpointer_wait(struct checkpointer *c)
{
    struct timespec until;
    int waited = 0;

    (void)clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += CHECKPOINT_TICK_S;
    while (!c->stopping && !checkpointer_is_due(c, ENROLLMENTS) &&
           !checkpointer_is_due(c, REGISTRATIONS) && waited != ETIMEDOUT)
        waited = pthread_cond_timedwait(&c->wanted, &c->lock, &until);
    return checkpointer_is_due(c, ENROLLMENTS) || checkpointer_is_due(c, REGISTRATIONS);
}

/* At a tick both; otherwise who asked for it. */
static void checkpointer_visit(struct checkpointer *c, enum database which, bool tick)
{
    (void)pthread_mutex_lock(&c->lock);
    bool due = checkpointer_is_due(c, which);
    int frames = c->sides[which].frames, next = INT32_MAX;
    (void)pthread_mutex_unlock(&c->lock);
    if (!due && !tick)
        return;
    if (!atomic_load(&c->place->broken))
        next = checkpointer_round(c, which, frames);
    (void)pthread_mutex_lock(&c->lock);
    c->sides[which].due = next;
    (void)pthread_mutex_unlock(&c->lock);
}

static void *checkpointer_run(void *arg)
{
    struct checkpointer *c = arg;

    for (;;) {
        (void)pthread_mutex_lock(&c->lock);
        bool tick = !checkpointer_wait(c), stopping = c->stopping;
        (void)pthread_mutex_unlock(&c->lock);
        if (stopping)
            return NULL;
        checkpointer_visit(c, REGISTRATIONS, tick);
        checkpointer_visit(c, ENROLLMENTS, tick);
    }
}

/* Beginning with empty logs makes a restart after a failed fsync sound: all that the log holds, on the
 * disk or only in memory, is written and synced once more, into the database. That the log is empty must
 * last as well: what a failed fsync has left of it would come back after a power cut, older than the
 * database. A reader that does not let go, or a full disk, is no reason not to serve. */
static enum err checkpointer_empty(struct checkpointer *c, enum database which)
{
    enum err e = checkpointer_do(c, which, DB_CHECKPOINT_TRUNCATE);

    if (e == ERR_OK) {
        e = db_log_sync(&c->db[which]);
        store_place_note(c->place, &c->db[which]);
    }
    return e == ERR_STORE_BUSY || e == ERR_STORE_FULL ? ERR_OK : e;
}

static enum err checkpointer_open_parts(struct checkpointer *c, struct store_reason *ret_reason)
{
    for (int i = 0; i < DATABASE_COUNT; i++) {
        TRY(store_place_open(c->place, (enum database)i, DB_WRITE, CHECKPOINT_BUSY_WAIT_MS,
                             &c->db[i], ret_reason));
        enum err e = checkpointer_empty(c, (enum database)i);
        if (e != ERR_OK) {
            db_reason(ret_reason, "%s: its log cannot be written back", c->db[i].path);
            return e;
        }
    }
    TRY(store_thread_start("checkpointer", checkpointer_run, c, &c->thread));
    c->started = true;
    return ERR_OK;
}

enum err checkpointer_open(struct store_place *place, struct checkpointer **ret_c,
                           struct store_reason *ret_reason)
{
    struct checkpointer *c = calloc(1, sizeof *c);

    if (c == NULL)
        return ERR_MEMORY;
    c->place = place;
    for (int i = 0; i < DATABASE_COUNT; i++)
        c->sides[i].due = CHECKPOINT_STEP_FRAMES;
    (void)pthread_mutex_init(&c->lock, NULL);
    checkpointer_set_wait(&c->wanted);
    (void)pthread_cond_init(&c->opened, NULL);
    enum err e = checkpointer_open_parts(c, ret_reason);
    if (e != ERR_OK) {
        checkpointer_close(c);
        return e;
    }
    *ret_c = c;
    return ERR_OK;
}

static void checkpointer_stop(struct checkpointer *c)
{
    if (!c->started)
        return;
    (void)pthread_mutex_lock(&c->lock);
    c->stopping = true;
    (void)pthread_cond_signal(&c->wanted);
    (void)pthread_mutex_unlock(&c->lock);
    (void)pthread_join(c->thread, NULL);
}

void checkpointer_close(struct checkpointer *c)
{
    if (c == NULL)
        return;
    checkpointer_stop(c);
    for (int i = 0; i < DATABASE_COUNT; i++) {
        if (c->started && !atomic_load(&c->place->broken))
            (void)!checkpointer_do(c, (enum database)i, DB_CHECKPOINT_TRUNCATE);
        db_close(&c->db[i]);
    }
    (void)pthread_cond_destroy(&c->wanted);
    (void)pthread_cond_destroy(&c->opened);
    (void)pthread_mutex_destroy(&c->lock);
    free(c);
}
