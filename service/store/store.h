/* Purpose: enrollments and groups (who may join) and registrations (who did), durable; and the audit
 * log of who changed them.
 *
 * This header is the seam: SQLite stands behind it, PostgreSQL can stand beside it; nothing of
 * either shows. Enrollments and registrations are separate databases, so that a long import never
 * stalls a registration.
 *
 * One struct store per process; one struct store_reader per thread that looks things up. In a serving
 * process each database has a writer thread that commits whatever waits together and calls back when
 * it is durable. Rows are plain values: no pointer in them belongs to the store.
 *
 * Errors a caller can act on: ERR_STORE_BUSY and ERR_STORE (try later), ERR_STORE_FULL (no space),
 * ERR_STORE_SCHEMA (made by a newer version), ERR_ABSENT (no such row), ERR_CONFLICT, ERR_DUPLICATE,
 * ERR_ETAG.
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

/* How a device proves who it is. */
enum store_attestation { STORE_TPM, STORE_SYMMETRIC_KEY, STORE_X509 };

struct store_enrollment {
    struct regid id;
    struct regid device_id;                 /* same as id unless the row said otherwise */
    enum store_attestation attestation;     /* all but STORE_TPM: no EK, but a credential */
    uint8_t ek[TPM_PUBLIC_CAP];             /* TPM2B_PUBLIC */
    size_t ek_len;                          /* 0 where there is no EK */
    uint8_t ek_hash[TPM_KEY_HASH_LEN];      /* tpm_public_key_hash: unique over all enrollments; zeros
                                               where there is no EK */
    uint8_t srk[TPM_PUBLIC_CAP];            /* TPM2B_PUBLIC; srk_len 0 when not known */
    size_t srk_len;
    bool pin_srk;                           /* refuse any other SRK */
    bool enabled;
    enum store_ek_grade ek_grade;
    int64_t profile;                        /* store_batch_profile; 0: none */
    uint64_t number;                        /* its place among all: growing, never used again; 0 until
                                               stored, not looked at when it is */
    uint64_t revision;                      /* 1 when new, grows with each change; likewise */
    int64_t created_s, updated_s;
};

/* Many devices that are let in by one credential. */
struct store_group {
    struct regid id;
    enum store_attestation attestation;
    bool enabled;
    int64_t profile;
    uint64_t number, revision;              /* as an enrollment's */
    int64_t created_s, updated_s;
};
/* What proves a device of a row without an EK, or of a group: keys (wrapped by the caller: nothing of a
 * secret may be read from the database), certificates. Opaque here. */
#define STORE_CREDENTIAL_CAP 16384

/* What many enrollments have in common: whom their devices belong to and where they go. Texts; an
 * empty one says nothing. */
#define STORE_TAGS_CAP 1024
#define STORE_HUBS_CAP 2048
#define STORE_ALLOCATION_CAP 16
#define STORE_TWIN_CAP 8192
#define STORE_DOCUMENT_CAP 16384
struct store_profile {
    char tags[STORE_TAGS_CAP];             /* sorted, a comma between */
    char hubs[STORE_HUBS_CAP];             /* linked hubs it may be assigned to, likewise */
    char allocation[STORE_ALLOCATION_CAP]; /* hashed, geoLatency, static or custom */
    char twin[STORE_TWIN_CAP];             /* initial twin, compact JSON */
    char document[STORE_DOCUMENT_CAP];     /* all settings as the service API was given them, compact
                                              JSON; the importer has none */
};

#define STORE_DEVICE_KEYS_CAP 256
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
    struct regid group;                     /* that let it in; "" where an enrollment of its own did */
    uint8_t device_keys[STORE_DEVICE_KEYS_CAP]; /* of a device with symmetric ones, sealed for the hub by
                                               the caller; device_keys_len 0: none */
    size_t device_keys_len;
    bool deleted;                           /* by an operator: only its generation counts, for the next
                                               assignment; to everybody else it is absent */
    uint64_t number;                        /* of the row, growing; not looked at when it is stored */
    struct span payload;                    /* JSON for the device; borrowed until done. Never filled
                                               by a look-up: store_payload_find */
    int64_t created_s, updated_s;
};
#define STORE_PAYLOAD_CAP 16384

/* ---- opening ---- */
struct store;
enum store_mode {
    STORE_CREATE, /* makes the databases, all or nothing, in a data_dir that is there; then as
                     STORE_IMPORT; ERR_DUPLICATE if there are any */
    STORE_SERVE,  /* reads, and writes registrations and the operator's changes: starts the writers */
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
MUST_USE enum err store_group_find(struct store_reader *r, const struct regid *id,
                                   struct store_group *ret_group);
/* By the number of an enrollment or a group. ERR_ABSENT: none. ERR_FULL. */
MUST_USE enum err store_credential_find(struct store_reader *r, uint64_t enrollment,
                                        struct buf *out);
MUST_USE enum err store_group_credential_find(struct store_reader *r, uint64_t group,
                                              struct buf *out);
/* Of a registration, by its number; nothing is put into out where there is none. ERR_FULL. */
MUST_USE enum err store_payload_find(struct store_reader *r, uint64_t registration,
                                     struct buf *out);
/* For the hub: the registration of a device id, with its enrollment. A deleted one is absent. */
MUST_USE enum err store_device_find(struct store_reader *r, const struct regid *device_id,
                                    struct store_registration *ret_registration,
                                    struct store_enrollment *ret_enrollment);
/* Pages: rows in the order of their number, the first with one above `after`. ERR_ABSENT: no more.
 * Nothing is held from one call to the next, and rows that come and go meanwhile disturb nothing: who
 * is there all the while is met once. */
MUST_USE enum err store_enrollment_next(struct store_reader *r, uint64_t after,
                                        struct store_enrollment *ret_row);
MUST_USE enum err store_group_next(struct store_reader *r, uint64_t after,
                                   struct store_group *ret_group);
/* Those that the group has let in. */
MUST_USE enum err store_registration_next(struct store_reader *r, const struct regid *group,
                                          uint64_t after, struct store_registration *ret_row);
/* Every enrollment from there on in one go, for searching: until visit returns false. It must not call
 * this reader. */
MUST_USE enum err store_enrollment_scan(struct store_reader *r, uint64_t after,
                                        bool (*visit)(void *arg, const struct store_enrollment *row),
                                        void *arg);
/* Between the two, all look-ups of enrollments, groups, profiles and credentials see the same moment;
 * short, for the log cannot be shortened meanwhile. Ending what was not begun is fine. */
MUST_USE enum err store_reader_hold(struct store_reader *r);
void store_reader_release(struct store_reader *r);
/* A number that differs whenever either database may have changed since; cheap (no query). */
MUST_USE enum err store_reader_version(struct store_reader *r, uint64_t *ret_version);

/* ---- writing registrations (STORE_SERVE) ---- */
/* Queues `row`, copied. It is written only if the stored generation is row->generation - 1 (no row
 * counts as 0) and the enrollment of that id is still there, enabled and has row->ek_hash (zeros: no
 * EK), or with row->group: the group is there and enabled, and no enrollment of that id; else
 * ERR_CONFLICT. `done` is called once, on the writer thread, after the commit is durable or has
 * failed: it must be short and must not call the store. created_s of an existing row is kept. */
struct store_waiter {
    void (*done)(struct store_waiter *w, enum err outcome);
};
/* ERR_UNAVAILABLE when more wait than the queue holds, ERR_STORE when the store is broken; then done
 * is not called. */
MUST_USE enum err store_registration_assign(struct store *s, const struct store_registration *row,
                                            struct store_waiter *w);

/* ---- the audit log: append-only, chained ----
 * Each database has its own, so that an entry is durable exactly when its change is. Every entry holds
 * an HMAC over itself and the one before, and the end of the chain is signed: an entry that was
 * altered, removed, moved or cut off is found. The key stays outside the database. Entries of a process
 * without the key (the importer) are chained by the next one that has it. */
#define STORE_AUDIT_WHO_CAP 64
#define STORE_AUDIT_WHAT_CAP 32
#define STORE_AUDIT_OBJECT_CAP 16
#define STORE_AUDIT_REASON_CAP 480
#define STORE_AUDIT_HASH_LEN 32
struct store_audit {
    char who[STORE_AUDIT_WHO_CAP];         /* a policy's name, a user of this machine */
    char what[STORE_AUDIT_WHAT_CAP];
    char object[STORE_AUDIT_OBJECT_CAP];   /* what kind of thing */
    struct regid id;                       /* which one; "": none or several */
    enum err outcome;
    char reason[STORE_AUDIT_REASON_CAP];   /* the true one, of a refusal; "": none */
    int64_t at_s;
};
/* The key, once, right after store_open, in every mode but STORE_READ. Chains what others have left;
 * where the database is busy or full that is done with the next entry instead. */
MUST_USE enum err store_audit_key(struct store *s, const struct secret *key);
/* STORE_SERVE: an entry about what changed nothing, as a refused call. Nobody is told when it is
 * durable. ERR_UNAVAILABLE: the queue is full; ERR_STORE. What could not be written is counted, and a
 * later entry tells how many. Whoever lets strangers cause entries has to limit them. */
MUST_USE enum err store_audit_append(struct store *s, const struct store_audit *entry);
/* The two logs: of enrollments, groups and calls; of registrations. */
enum store_log { STORE_LOG_ENROLLMENTS, STORE_LOG_REGISTRATIONS, STORE_LOGS };
/* The first entry with a number above `after`; hash: zeros where it is not chained. ERR_ABSENT: no more. */
MUST_USE enum err store_audit_next(struct store_reader *r, enum store_log log, uint64_t after,
                                   uint64_t *ret_number, struct store_audit *ret_entry,
                                   uint8_t ret_hash[STORE_AUDIT_HASH_LEN]);
struct store_audit_verdict {
    uint64_t chained;    /* entries whose chain holds, up to the first wrong one */
    uint64_t unchained;  /* behind the end, by processes without the key */
    uint64_t wrong;      /* number of the first that is altered, missing or not in its place; 0: none */
    bool sealed;         /* the end's signature is right */
    uint8_t hash[STORE_AUDIT_HASH_LEN]; /* of the last entry whose chain holds: an older state of the
                            whole log would pass, so whoever fears that keeps this elsewhere */
};
/* ERR_OK: the log could be read; what it is worth is in the verdict. */
MUST_USE enum err store_audit_verify(struct store_reader *r, enum store_log log,
                                     const struct secret *key,
                                     struct store_audit_verdict *ret_verdict);

/* ---- the operator's changes (STORE_SERVE) ---- */
enum store_object { STORE_ENROLLMENT, STORE_GROUP, STORE_REGISTRATION };
enum store_match {
    STORE_MATCH_ABSENT,   /* put: there must be none of this id: ERR_DUPLICATE */
    STORE_MATCH_ANY,      /* put: made or overwritten; removal: must be there: ERR_ABSENT */
    STORE_MATCH_PRESENT,  /* must be there: ERR_ABSENT */
    STORE_MATCH_REVISION, /* must be there with this number and revision: ERR_ABSENT, ERR_ETAG */
};
/* Which value of a change that failed with ERR_DUPLICATE belongs to another row. */
enum store_taken { STORE_TAKEN_NOTHING, STORE_TAKEN_ID, STORE_TAKEN_KEY, STORE_TAKEN_DEVICE };

/* An enrollment or a group is put or removed; a registration only removed: its row stays, marked, with
 * its generation one higher, so that all keys of before are dead and none ever comes again. Removing
 * an enrollment leaves its registration for the same reason.
 * A put writes the whole row with its profile and credential; created_s of an existing one is kept.
 * An EK certificate goes when the EK changes. */
struct store_change {
    enum store_object object;
    enum store_match match;
    bool remove;
    union {
        struct regid id; /* of each object, and all that counts for a removal */
        struct store_enrollment enrollment;
        struct store_group group;
    };
    const struct store_profile *profile; /* NULL: none. Borrowed until done */
    struct span credential;              /* empty: none. Borrowed until done */
    struct store_audit audit;            /* written with the change, or with its refusal; the outcome
                                            and, if none is given, the reason are put in */
    /* In, for STORE_MATCH_REVISION; out, on success: of the row as it is now. A registration's revision
     * is its generation. */
    uint64_t number, revision;
    /* out */
    enum err outcome;
    enum store_taken taken;
    struct regid other;                  /* the row it belongs to */
};
/* Queues a list: each change is tried by itself, in order, all in one commit with whatever else waits;
 * a failed one does not touch the others. `w` is told once, ERR_OK when the commit is durable: then each
 * has its outcome; otherwise nothing of the list is written and every outcome is that error. The list
 * and what it borrows must stay until then. Either registrations or others in one list.
 * ERR_UNAVAILABLE, ERR_STORE: not queued. Outcomes beside those named: ERR_STORE and its like. */
#define STORE_CHANGES_MAX 10
MUST_USE enum err store_change_apply(struct store *s, struct store_change *changes, size_t count,
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
 * ERR_STORE_BUSY. ERR_DUPLICATE: there are enrollments already, or have been. In both cases nothing has
 * changed, and batches will do. Groups and the audit log stay. */
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
