/* Purpose: what the parts of the SQLite store share. Private to the store. */
#ifndef STORE_SQLITE_INTERNAL_H
#define STORE_SQLITE_INTERNAL_H

#include "audit.h"
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
    struct secret audit_key; /* set before anything is written */
    bool audit_keyed;
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
/* Around each transaction of a database's writer: cheap. Its log has that many pages now. */
void checkpointer_enter(struct checkpointer *c, enum database which);
void checkpointer_leave(struct checkpointer *c, enum database which, int wal_frames);
void checkpointer_close(struct checkpointer *c); /* NULL is fine; empties the logs */

/* ---- writer: commits what waits for one database, in groups ---- */
enum writer_what { WRITER_ASSIGN, WRITER_CHANGES, WRITER_AUDIT };
struct writer_entry {
    enum writer_what what;
    struct store_waiter *waiter; /* NULL: nobody */
    union {
        struct store_registration row;
        struct {
            struct store_change *list; /* the caller's */
            size_t count;
        } changes;
        struct store_audit audit;
    };
};

/* What a writer works with; the files that apply entries see this and no more of it. */
struct writer_desk {
    struct store_place *place;
    enum database which;
    struct db db;              /* the one that is written */
    struct db enrollments;     /* to look into; only of the writer of registrations */
    struct audit_chain chain;  /* of the transaction that is open */
};

struct writer;
MUST_USE enum err writer_open(struct store_place *place, struct checkpointer *c,
                              enum database which, struct writer **ret_writer,
                              struct store_reason *ret_reason);
/* Copies the entry. ERR_UNAVAILABLE: the queue is full. ERR_STORE. */
MUST_USE enum err writer_put(struct writer *w, const struct writer_entry *entry);
void writer_close(struct writer *w); /* NULL is fine; commits what waits */

/* One entry inside the transaction. An error ends the group: nothing of it is kept. Otherwise the outcome
 * is what its waiter is told. */
MUST_USE enum err assign_apply(struct writer_desk *d, const struct store_registration *row,
                               enum err *ret_outcome);
MUST_USE enum err change_apply(struct writer_desk *d, struct store_change *changes, size_t count);
/* Whether an error has taken the transaction with it, or will. */
bool desk_is_lost(const struct writer_desk *d, enum err e);

/* A thread that no signal ever interrupts. */
MUST_USE enum err store_thread_start(const char *name, void *(*run)(void *), void *arg,
                                     pthread_t *ret_thread);

/* ---- creating ---- */
MUST_USE enum err create_databases(const char *data_dir, struct store_reason *ret_reason);
/* The names in DIR and DIR/db last. */
MUST_USE enum err create_sync_directories(const char *data_dir, struct store_reason *ret_reason);

/* Of a first load: groups, profiles and the audit log, from the database that is replaced. */
MUST_USE enum err carry_over(struct db *from, struct db *to, struct store_reason *ret_reason);

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
    struct writer *writers[DATABASE_COUNT];
};

struct store_reader {
    struct db db[DATABASE_COUNT];
};

#endif
