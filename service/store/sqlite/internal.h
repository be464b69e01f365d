/* Purpose: what the parts of the SQLite store share. Private to the store. */
#ifndef STORE_SQLITE_INTERNAL_H
#define STORE_SQLITE_INTERNAL_H

#include "db.h"
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>

#define STORE_BUSY_WAIT_MS 1000        /* for another writer, before ERR_STORE_BUSY */
#define STORE_IMPORT_BUSY_WAIT_MS 5000

/* What the parts of one store have in common. */
struct store_place {
    char path[DATABASE_COUNT][DB_PATH_CAP];
    /* Set once a write or an fsync has failed: the kernel may have dropped what it could not write,
     * and a second fsync would lie about it. Nothing is acknowledged any more; a restart reads back
     * what is really there. */
    atomic_bool broken;
};

/* Opens one of the two, with its statements. */
MUST_USE enum err store_place_open(const struct store_place *place, enum database which,
                                   enum db_access access, int busy_timeout_ms, struct db *ret_db,
                                   struct store_reason *ret_reason);
/* Marks the place broken if the connection met an I/O error. */
void store_place_note(struct store_place *place, const struct db *db);

/* ---- checkpointer: moves the logs into the databases, off the commit path ---- */
struct checkpointer;
MUST_USE enum err checkpointer_open(struct store_place *place, struct checkpointer **ret_c,
                                    struct store_reason *ret_reason);
/* Around each transaction of the writer: cheap. The log of registrations has that many pages now. */
void checkpointer_enter(struct checkpointer *c);
void checkpointer_leave(struct checkpointer *c, int wal_frames);
void checkpointer_close(struct checkpointer *c); /* NULL is fine; empties the logs */

/* ---- writer: commits registrations in groups ---- */
struct writer;
MUST_USE enum err writer_open(struct store_place *place, struct checkpointer *c,
                              struct writer **ret_writer, struct store_reason *ret_reason);
MUST_USE enum err writer_assign(struct writer *w, const struct store_registration *row,
                                struct store_waiter *waiter);
void writer_close(struct writer *w); /* NULL is fine; commits what waits */

/* A thread that no signal ever interrupts. */
MUST_USE enum err store_thread_start(const char *name, void *(*run)(void *), void *arg,
                                     pthread_t *ret_thread);

/* ---- creating ---- */
MUST_USE enum err create_databases(const char *data_dir, struct store_reason *ret_reason);
/* The names in DIR and DIR/db last. */
MUST_USE enum err create_sync_directories(const char *data_dir, struct store_reason *ret_reason);

bool batch_profile_is_empty(const struct store_profile *p);

/* ---- the log under batches: commits that need no sync while the write lock is held ---- */
struct batchlog {
    struct db pin;  /* its open transaction keeps the log from being begun anew */
    bool pinned;
    bool growing;   /* pinned, and this process has added to the log since */
    bool lazy;      /* what synchronous is set to on the connection: OFF, else FULL */
    bool unsynced;  /* something was committed that may not be durable yet */
    int due;        /* at so many frames the log is moved into the database */
};
/* Begins a transaction that writes. */
MUST_USE enum err batchlog_begin(struct store *s);
/* After each commit, with the lock let go: keeps the log short. Its failure undoes no commit. */
void batchlog_committed(struct store *s);
MUST_USE enum err batchlog_sync(struct store *s);
/* Back to the connection as it was opened. */
void batchlog_end(struct store *s);

struct store {
    enum store_mode mode;
    struct store_place place;
    struct db import; /* enrollments, to be written: STORE_CREATE and STORE_IMPORT */
    struct batchlog batchlog;
    bool in_batch;
    struct checkpointer *checkpointer; /* these two in STORE_SERVE */
    struct writer *writer;
};

struct store_reader {
    struct db db[DATABASE_COUNT];
};

#endif
