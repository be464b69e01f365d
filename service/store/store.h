/* Purpose: enrollments (who may join) and registrations (who did), durable.
 *
 * This header is the seam: SQLite stands behind it, PostgreSQL can stand beside it; nothing of
 * either shows. Enrollments and registrations are separate databases, so that a long import never
 * stalls a registration.
 *
 * One struct store per process; one struct store_reader per thread that looks things up. Writing of
 * registrations goes through one writer thread that commits whatever waits together and calls back
 * when it is durable. Rows are plain values: no pointer in them belongs to the store.
 *
 * Errors a caller can act on: ERR_STORE_BUSY and ERR_STORE (try later), ERR_STORE_FULL (no space),
 * ERR_STORE_SCHEMA (made by a newer version), ERR_ABSENT (no such row), ERR_CONFLICT, ERR_DUPLICATE.
 */
#ifndef STORE_H
#define STORE_H

#include <wire/bytes.h>
#include <wire/regid.h>
#include <wire/tpmpub.h>

#define STORE_HOST_CAP 254      /* a DNS name and its NUL */
#define STORE_OPERATION_CAP 64
#define STORE_ETAG_CAP 40

/* What is known of an endorsement key beyond the key itself. */
enum store_ek_grade {
    STORE_EK_KEY_ONLY,
    STORE_EK_CERTIFICATE,         /* a certificate came with it, for this key */
    STORE_EK_CERTIFICATE_TRUSTED, /* and it leads to a trusted root */
};

struct store_enrollment {
    struct regid id;
    struct regid device_id;                 /* same as id unless the row said otherwise */
    uint8_t ek[TPM_PUBLIC_CAP];             /* TPM2B_PUBLIC */
    size_t ek_len;
    uint8_t ek_hash[TPM_KEY_HASH_LEN];      /* tpm_public_key_hash: unique over all enrollments */
    uint8_t srk[TPM_PUBLIC_CAP];            /* TPM2B_PUBLIC; srk_len 0 when not known */
    size_t srk_len;
    bool pin_srk;                           /* refuse any other SRK */
    bool enabled;
    enum store_ek_grade ek_grade;
    int64_t profile;                        /* store_batch_profile; 0: none */
    int64_t created_s, updated_s;
};

/* What many enrollments have in common: whom their devices belong to and where they go. Texts; an
 * empty one says nothing. */
#define STORE_TAGS_CAP 1024
#define STORE_HUBS_CAP 2048
#define STORE_ALLOCATION_CAP 16
#define STORE_TWIN_CAP 8192
struct store_profile {
    char tags[STORE_TAGS_CAP];             /* sorted, a comma between */
    char hubs[STORE_HUBS_CAP];             /* linked hubs it may be assigned to, likewise */
    char allocation[STORE_ALLOCATION_CAP]; /* hashed, geoLatency, static or custom */
    char twin[STORE_TWIN_CAP];             /* initial twin, compact JSON */
};

struct store_registration {
    struct regid id;
    struct regid device_id;
    uint64_t generation;                    /* of the hub key: 0 never registered, grows by one with
                                               each assignment; never falls */
    uint8_t ek_hash[TPM_KEY_HASH_LEN];      /* the EK it was made with */
    uint8_t srk[TPM_PUBLIC_CAP];            /* the SRK it was made with */
    size_t srk_len;
    char hub[STORE_HOST_CAP];               /* assigned hub, bare DNS name */
    char operation_id[STORE_OPERATION_CAP];
    int64_t challenge_window;               /* of the nonce key that led to it: polls verify by it */
    char etag[STORE_ETAG_CAP];
    int64_t created_s, updated_s;
};

/* ---- opening ---- */
struct store;
enum store_mode {
    STORE_CREATE, /* makes the databases, all or nothing, in a data_dir that is there; then as
                     STORE_IMPORT; ERR_DUPLICATE if there are any */
    STORE_SERVE,  /* reads, and writes registrations: starts the writer thread */
    STORE_IMPORT, /* reads, and writes enrollments; beside a serving process, or without one */
    STORE_READ,   /* for the hub: needs no service running, never writes a row */
};
/* data_dir: the service's data directory. Migrates older schemas except in STORE_READ.
 * A reason for people goes to ret_reason (may be NULL) on an error. ERR_ABSENT: no databases. */
struct store_reason { char text[256]; };
MUST_USE enum err store_open(const char *data_dir, enum store_mode mode, struct store **ret_store,
                             struct store_reason *ret_reason);
/* Commits what waits, stops the writer. NULL is fine. All readers must be closed before. */
void store_close(struct store *s);
/* Full consistency check of both databases: reads every row. */
MUST_USE enum err store_check(struct store *s, struct store_reason *ret_reason);
/* A write or an fsync has failed, so what is on the disk is not known: nothing will be acknowledged
 * any more, all writing fails with ERR_STORE. Look-ups go on; a restart reads back what is there. */
bool store_is_broken(const struct store *s);

/* ---- looking up ---- */
struct store_reader;
MUST_USE enum err store_reader_open(struct store *s, struct store_reader **ret_reader);
void store_reader_close(struct store_reader *r);

MUST_USE enum err store_enrollment_find(struct store_reader *r, const struct regid *id,
                                        struct store_enrollment *ret_row);
MUST_USE enum err store_enrollment_find_by_key(struct store_reader *r,
                                               const uint8_t ek_hash[TPM_KEY_HASH_LEN],
                                               struct store_enrollment *ret_row);
MUST_USE enum err store_profile_find(struct store_reader *r, int64_t number,
                                     struct store_profile *ret_profile);
/* The EK certificate (DER) an enrollment came with. ERR_ABSENT: none. ERR_FULL. */
#define STORE_CERTIFICATE_CAP 8192
MUST_USE enum err store_certificate_find(struct store_reader *r, const struct regid *id,
                                         struct buf *out);
MUST_USE enum err store_registration_find(struct store_reader *r, const struct regid *id,
                                          struct store_registration *ret_row);
/* For the hub: the registration of a device id, with its enrollment. */
MUST_USE enum err store_device_find(struct store_reader *r, const struct regid *device_id,
                                    struct store_registration *ret_registration,
                                    struct store_enrollment *ret_enrollment);
/* A number that differs whenever either database may have changed since; cheap (no query). */
MUST_USE enum err store_reader_version(struct store_reader *r, uint64_t *ret_version);

/* ---- writing registrations (STORE_SERVE) ---- */
/* Queues `row`, copied. It is written only if the stored generation is row->generation - 1 (no row
 * counts as 0) and the enrollment of that id is still there, enabled and has row->ek_hash; else
 * ERR_CONFLICT. `done` is called once, on the writer thread, after the commit is durable or has
 * failed: it must be short and must not call the store. created_s of an existing row is kept. */
struct store_waiter {
    void (*done)(struct store_waiter *w, enum err outcome);
};
/* ERR_UNAVAILABLE when more wait than the queue holds, ERR_STORE when the store is broken; then done
 * is not called. */
MUST_USE enum err store_registration_assign(struct store *s, const struct store_registration *row,
                                            struct store_waiter *w);

/* ---- writing enrollments (STORE_IMPORT) ---- */
/* One transaction of at most STORE_BATCH_MAX rows: begin, put…, commit or rollback. The write lock
 * is held from the first put to the end, but not while a disk syncs. */
#define STORE_BATCH_MAX 500
enum store_put { STORE_PUT_NEW, STORE_PUT_SAME, STORE_PUT_ID_TAKEN, STORE_PUT_KEY_TAKEN,
                 STORE_PUT_DEVICE_TAKEN };
struct store_batch;
MUST_USE enum err store_batch_begin(struct store *s, struct store_batch **ret_batch);
/* Nothing is written for any outcome but STORE_PUT_NEW. SAME: the row is there already with the same
 * id, EK, device id, SRK, pin and profile. Otherwise the other row's id goes to ret_other. After an error
 * nothing of the batch is kept: the commit returns it again. */
MUST_USE enum err store_batch_put(struct store_batch *b, const struct store_enrollment *row,
                                  enum store_put *ret_outcome, struct regid *ret_other);
/* The number of a profile, new or known; an empty one is 0. */
MUST_USE enum err store_batch_profile(struct store_batch *b, const struct store_profile *profile,
                                      int64_t *ret_number);
/* Keeps the EK certificate of a row put in this batch. */
MUST_USE enum err store_batch_certificate(struct store_batch *b, const struct regid *id,
                                          struct span der);
/* Puts the row in the place of every one that shares its id, key or device id, and writes into the
 * audit table what went. */
MUST_USE enum err store_batch_replace(struct store_batch *b, const struct store_enrollment *row);
/* So long already, in microseconds; 0 before the first put. */
int64_t store_batch_held_us(const struct store_batch *b);
MUST_USE enum err store_batch_commit(struct store_batch *b); /* durable on ERR_OK; frees b always */
/* The same for several in a row: all see the rows on ERR_OK, and they are durable after a sync. A cut
 * of the power before it costs the last of the batches, never one without those after it. */
MUST_USE enum err store_batch_commit_lazily(struct store_batch *b, int64_t *ret_held_us);
MUST_USE enum err store_batch_sync(struct store *s);
void store_batch_rollback(struct store_batch *b);            /* frees b; NULL is fine */

/* ---- the first load (STORE_IMPORT) ----
 * Into a fresh file, with indexes once all rows are there; then it takes the place of the empty
 * database at once. For that nobody else may have the database open, and no reader of this process:
 * ERR_STORE_BUSY. ERR_DUPLICATE: there are enrollments already. In both cases nothing has changed,
 * and batches will do. */
struct store_load;
MUST_USE enum err store_load_begin(struct store *s, struct store_load **ret_load,
                                   struct store_reason *ret_reason);
/* The caller vouches that no two share id, key or device id: if some do, the commit fails. */
MUST_USE enum err store_load_put(struct store_load *l, const struct store_enrollment *row);
MUST_USE enum err store_load_certificate(struct store_load *l, struct span der); /* of the last row */
MUST_USE enum err store_load_profile(struct store_load *l, const struct store_profile *profile,
                                     int64_t *ret_number);
/* Durable on ERR_OK; nothing is in otherwise. Frees l always. */
MUST_USE enum err store_load_commit(struct store_load *l, struct store_reason *ret_reason);
void store_load_abandon(struct store_load *l); /* NULL is fine */

/* STORE_IMPORT. ERR_ABSENT. Durable on ERR_OK. */
MUST_USE enum err store_enrollment_set_enabled(struct store *s, const struct regid *id,
                                               bool enabled, int64_t now_s);
MUST_USE enum err store_enrollment_count(struct store_reader *r, uint64_t *ret_count);
MUST_USE enum err store_registration_count(struct store_reader *r, uint64_t *ret_count);

#endif
