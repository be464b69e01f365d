#include "internal.h"
#include "row.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

struct store_batch {
    struct store *store;
    int rows;
    bool locked;       /* the transaction is open */
    int64_t locked_us; /* since then, by the monotonic clock */
    uint64_t fresh;    /* the next row's number, where the one above the highest was used; else 0 */
    enum err failed;   /* the first error: nothing of the batch will be kept */
};

static int64_t batch_now_us(void)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

enum err store_batch_begin(struct store *s, struct store_batch **ret_batch)
{
    ERR_ASSERT(s->import.handle != NULL && !s->in_batch);
    if (atomic_load(&s->place.broken))
        return ERR_STORE;
    struct store_batch *b = calloc(1, sizeof *b);
    if (b == NULL)
        return ERR_MEMORY;
    b->store = s;
    s->in_batch = true;
    *ret_batch = b;
    return ERR_OK;
}

static enum err batch_lock(struct store_batch *b)
{
    if (b->locked)
        return ERR_OK;
    TRY(batchlog_begin(b->store));
    b->locked = true;
    b->locked_us = batch_now_us();
    return row_find_number_or_none(&b->store->import, ENROLLMENT_FRESH_NUMBER, &b->fresh);
}

int64_t store_batch_held_us(const struct store_batch *b)
{
    return b->locked ? batch_now_us() - b->locked_us : 0;
}

static enum err batch_insert(struct store_batch *b, const struct store_enrollment *row,
                             bool *ret_written)
{
    TRY(row_insert_enrollment(&b->store->import, row, b->fresh, ret_written));
    if (*ret_written)
        b->fresh = 0;
    return ERR_OK;
}

/* The hash is the key's identity, however its public area was spelled; an SRK has only its bytes. */
static bool batch_is_same(const struct store_enrollment *a, const struct store_enrollment *b)
{
    return span_equal(SPAN_ARRAY(a->ek_hash), SPAN_ARRAY(b->ek_hash)) &&
           span_equal(regid_span(&a->device_id), regid_span(&b->device_id)) &&
           span_equal(span_of(a->srk, a->srk_len), span_of(b->srk, b->srk_len)) &&
           a->pin_srk == b->pin_srk && a->profile == b->profile;
}

/* Which unique value stood in the way of row, and whose it is. */
static enum err batch_explain(struct db *db, const struct store_enrollment *row,
                              enum store_put *ret_outcome, struct regid *ret_other)
{
    struct store_enrollment other;
    enum store_put outcome = STORE_PUT_KEY_TAKEN;
    enum err e = row_find_enrollment(db, ENROLLMENT_FIND, &row->id, &other);

    if (e == ERR_OK)
        outcome = batch_is_same(row, &other) ? STORE_PUT_SAME : STORE_PUT_ID_TAKEN;
    if (e == ERR_ABSENT)
        e = row_find_enrollment_by_key(db, row->ek_hash, &other);
    if (e == ERR_ABSENT) {
        outcome = STORE_PUT_DEVICE_TAKEN;
        e = row_find_enrollment(db, ENROLLMENT_FIND_BY_DEVICE, &row->device_id, &other);
    }
    if (e == ERR_ABSENT) /* it stood in the way a moment ago, under our lock: the index is wrong */
        return ERR_STORE;
    TRY(e);
    *ret_outcome = outcome;
    *ret_other = other.id;
    return ERR_OK;
}

static enum err batch_put(struct store_batch *b, const struct store_enrollment *row,
                          enum store_put *ret_outcome, struct regid *ret_other)
{
    bool written = false;

    TRY(batch_lock(b));
    TRY(batch_insert(b, row, &written));
    if (!written)
        return batch_explain(&b->store->import, row, ret_outcome, ret_other);
    *ret_outcome = STORE_PUT_NEW;
    return ERR_OK;
}

enum err store_batch_put(struct store_batch *b, const struct store_enrollment *row,
                         enum store_put *ret_outcome, struct regid *ret_other)
{
    ERR_ASSERT(row->ek_len >= 1 && row->ek_len <= sizeof row->ek &&
               row->srk_len <= sizeof row->srk);
    ERR_ASSERT(b->rows < STORE_BATCH_MAX);
    TRY(b->failed);
    b->rows++;
    b->failed = batch_put(b, row, ret_outcome, ret_other);
    return b->failed;
}

enum err store_batch_profile(struct store_batch *b, const struct store_profile *profile,
                             int64_t *ret_number)
{
    TRY(b->failed);
    b->failed = batch_lock(b);
    if (b->failed == ERR_OK)
        b->failed = row_settle_profile(&b->store->import, profile, ret_number);
    return b->failed;
}

enum err store_batch_certificate(struct store_batch *b, const struct regid *id, struct span der)
{
    TRY(b->failed);
    ERR_ASSERT(b->locked && der.len >= 1 && der.len <= STORE_CERTIFICATE_CAP);
    QUERY q = query_on(&b->store->import, CERTIFICATE_PUT);
    query_put_text(&q, id->text);
    query_put_blob(&q, der.at, der.len);
    b->failed = query_done(&q);
    return b->failed;
}

static enum err batch_clear_way(struct db *db, enum statement which,
                                const struct store_enrollment *row)
{
    QUERY q = query_on(db, which);

    query_put_text(&q, row->id.text);
    query_put_text(&q, row->device_id.text);
    query_put_blob(&q, row->ek_hash, sizeof row->ek_hash);
    if (which == ENROLLMENT_AUDIT_REPLACED) {
        query_put_integer(&q, row->updated_s);
        query_put_text(&q, "ekpub-import");
    }
    return query_done(&q);
}

static enum err batch_replace(struct store_batch *b, const struct store_enrollment *row)
{
    struct db *db = &b->store->import;
    bool written = false;

    TRY(batch_lock(b));
    TRY(batch_clear_way(db, ENROLLMENT_AUDIT_REPLACED, row));
    TRY(batch_clear_way(db, ENROLLMENT_DELETE, row));
    TRY(row_find_number_or_none(db, ENROLLMENT_FRESH_NUMBER, &b->fresh));
    TRY(batch_insert(b, row, &written));
    return written ? ERR_OK : ERR_STORE;
}

enum err store_batch_replace(struct store_batch *b, const struct store_enrollment *row)
{
    TRY(b->failed);
    b->failed = batch_replace(b, row);
    return b->failed;
}

static void batch_end(struct store_batch *b)
{
    struct store *s = b->store;

    if (b->locked)
        db_abandon(&s->import);
    store_place_note(&s->place, &s->import);
    s->in_batch = false;
    free(b);
}

enum err store_batch_commit_lazily(struct store_batch *b, int64_t *ret_held_us)
{
    struct store *s = b->store;
    enum err e = b->failed;

    if (e == ERR_OK && b->locked)
        e = db_run(&s->import, ENROLLMENT_COMMIT);
    int64_t held_us = store_batch_held_us(b);
    batch_end(b);
    TRY(e);
    batchlog_committed(s);
    *ret_held_us = held_us;
    return ERR_OK;
}

enum err store_batch_sync(struct store *s)
{
    return batchlog_sync(s);
}

enum err store_batch_commit(struct store_batch *b)
{
    struct store *s = b->store;
    int64_t held_us;

    TRY(store_batch_commit_lazily(b, &held_us));
    return batchlog_sync(s);
}

void store_batch_rollback(struct store_batch *b)
{
    if (b != NULL)
        batch_end(b);
}

static enum err batch_set_enabled(struct db *db, const struct regid *id, bool enabled,
                                  int64_t now_s)
{
    QUERY q = query_on(db, ENROLLMENT_SET_ENABLED);

    query_put_text(&q, id->text);
    query_put_integer(&q, enabled);
    query_put_integer(&q, now_s);
    TRY(query_done(&q));
    return db_changes(db) == 1 ? ERR_OK : ERR_ABSENT;
}

/* The entry is written also when there is no such enrollment. */
static enum err batch_set_enabled_on_record(struct store *s, const struct regid *id, bool enabled,
                                            int64_t now_s, enum err *ret_outcome)
{
    struct audit_chain chain = {.key = s->place.audit_keyed ? &s->place.audit_key : NULL};
    struct store_audit entry = {.object = "enrollment", .id = *id, .at_s = now_s};

    (void)snprintf(entry.who, sizeof entry.who, "uid %u", (unsigned)getuid());
    (void)snprintf(entry.what, sizeof entry.what, "%s", enabled ? "enable" : "disable");
    TRY(db_begin(&s->import));
    enum err e = batch_set_enabled(&s->import, id, enabled, now_s);
    if (e != ERR_OK && e != ERR_ABSENT)
        return e;
    entry.outcome = *ret_outcome = e;
    TRY(audit_add(&s->import, &chain, &entry));
    TRY(audit_end(&s->import, &chain));
    return db_commit(&s->import);
}

enum err store_enrollment_set_enabled(struct store *s, const struct regid *id, bool enabled,
                                      int64_t now_s)
{
    enum err outcome = ERR_INTERNAL;

    ERR_ASSERT(s->import.handle != NULL && !s->in_batch);
    if (atomic_load(&s->place.broken))
        return ERR_STORE;
    batchlog_end(s);
    enum err e = batch_set_enabled_on_record(s, id, enabled, now_s, &outcome);
    if (e != ERR_OK)
        db_abandon(&s->import);
    store_place_note(&s->place, &s->import);
    return e == ERR_OK ? outcome : e;
}
