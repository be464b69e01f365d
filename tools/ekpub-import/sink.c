#include "sink.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "pace.h"
#include "seen.h"

#define BUSY_PAUSE_US 50000
#define BUSY_WAIT_S 30 /* each attempt waits a few seconds by itself */

struct answer {
    enum store_put put;
    bool replaced;
    struct regid other;
};

struct sink {
    struct sink_terms terms;
    struct store *store;
    struct store_load *load;     /* one of these two */
    struct store_reader *reader;
    struct seen *seen;       /* the whole run */
    struct seen *seen_block; /* the block at hand */
    int64_t profile;         /* of the run, once known; -1 before */
    struct pace pace;
    struct answer answers[IMPORT_BLOCK_ROWS];
    struct seen_print prints[IMPORT_BLOCK_ROWS];
    uint32_t order[IMPORT_BLOCK_ROWS]; /* in which the rows of a block are written */
};

static void batch_release(struct store_batch **b)
{
    store_batch_rollback(*b);
}

/* A load if it may be and can be; else a reader beside the batches. */
static enum err open_way(struct sink *s, struct store_reason *ret_why)
{
    const struct sink_terms *t = &s->terms;
    TRY(store_open(t->data_dir, STORE_IMPORT, &s->store, ret_why));
    if (t->may_load && !t->dry_run && t->conflict != CONFLICT_REPLACE) {
        enum err e = store_load_begin(s->store, &s->load, ret_why);
        if (e == ERR_OK || (e != ERR_STORE_BUSY && e != ERR_DUPLICATE))
            return e;
    }
    return store_reader_open(s->store, &s->reader);
}

enum err sink_open(const struct sink_terms *terms, struct sink **ret_sink,
                   struct import_reason *ret_reason)
{
    struct store_reason why = {""};
    struct sink *s = calloc(1, sizeof *s);
    size_t seen_max = terms->seen_max > 0 ? terms->seen_max : SEEN_ROWS_MAX;
    enum err e = s == NULL ? ERR_MEMORY : seen_open(seen_max, &s->seen);
    if (e == ERR_OK)
        e = seen_open(IMPORT_BLOCK_ROWS, &s->seen_block);
    if (e == ERR_OK) {
        s->terms = *terms;
        s->profile = -1;
        pace_begin(&s->pace);
        e = open_way(s, &why);
    }
    if (e != ERR_OK) {
        import_reason_set(ret_reason, "%s %.200s", err_text(e), why.text);
        sink_close(s);
        return e;
    }
    *ret_sink = s;
    return ERR_OK;
}

void sink_close(struct sink *s)
{
    if (s == NULL)
        return;
    store_load_abandon(s->load);
    store_reader_close(s->reader);
    store_close(s->store);
    seen_close(s->seen);
    seen_close(s->seen_block);
    free(s);
}

void sink_print_times(const struct sink *s)
{
    const struct pace *p = &s->pace;
    if (p->count == 0)
        return;
    (void)printf("  write lock: taken %llu times, held %.1f ms at most (%llu times above %d ms), "
                 "99.9 %% within %.1f ms, 99 %% within %.1f ms, on average %.2f ms\n",
                 (unsigned long long)p->count, (double)p->longest_us / 1000,
                 (unsigned long long)p->over, PACE_LIMIT_US / 1000,
                 (double)pace_quantile_us(p, 999) / 1000, (double)pace_quantile_us(p, 990) / 1000,
                 (double)p->whole_us / (double)p->count / 1000);
}

bool sink_is_load(const struct sink *s)
{
    return s->load != NULL;
}

bool sink_lost_count(const struct sink *s)
{
    return s->terms.dry_run && seen_is_full(s->seen);
}

enum err sink_finish(struct sink *s, struct import_reason *ret_reason)
{
    struct store_reason why = {""};
    struct store_load *load = s->load;
    if (load == NULL)
        return ERR_OK;
    s->load = NULL;
    seen_close(s->seen); /* the memory is needed for the indexes */
    s->seen = NULL;
    enum err e = store_load_commit(load, &why);
    if (e != ERR_OK)
        import_reason_set(ret_reason, "%s %.200s", err_text(e), why.text);
    return e;
}

/* ---- profiles ---- */

/* The profile a row's own columns make of the run's. It was found right before. */
static enum err profile_of(const struct sink *s, const struct import_item *item,
                           struct store_profile *ret_profile)
{
    struct import_reason why;
    struct import_options options = *s->terms.options;
    TRY(options_read(&item->row, &options, &why));
    *ret_profile = options.profile;
    return ERR_OK;
}

/* batch: NULL in a load. */
static enum err number_of(struct sink *s, struct store_batch *batch,
                          const struct store_profile *profile, int64_t *ret_number)
{
    return batch != NULL ? store_batch_profile(batch, profile, ret_number)
                         : store_load_profile(s->load, profile, ret_number);
}

static enum err settle_profile(struct sink *s, struct store_batch *batch, struct import_item *item)
{
    if (item->has_profile) {
        struct store_profile own;
        TRY(profile_of(s, item, &own));
        return number_of(s, batch, &own, &item->enrollment.profile);
    }
    if (s->profile < 0)
        TRY(number_of(s, batch, &s->terms.options->profile, &s->profile));
    item->enrollment.profile = s->profile;
    return ERR_OK;
}

/* ---- transactions ---- */

static enum err put_one(struct sink *s, struct store_batch *batch, struct import_item *item,
                        struct answer *answer)
{
    answer->replaced = false;
    TRY(settle_profile(s, batch, item));
    TRY(store_batch_put(batch, &item->enrollment, &answer->put, &answer->other));
    bool in = answer->put == STORE_PUT_NEW;
    if (!in && answer->put != STORE_PUT_SAME && s->terms.conflict == CONFLICT_REPLACE) {
        TRY(store_batch_replace(batch, &item->enrollment));
        in = answer->replaced = true;
    }
    if (in && item->ek_certificate.len > 0 && item->ek_certificate.len <= STORE_CERTIFICATE_CAP)
        return store_batch_certificate(batch, &item->enrollment.id, item->ek_certificate);
    return ERR_OK;
}

static void rest_us(int64_t us)
{
    (void)nanosleep(&(struct timespec){.tv_nsec = us * 1000}, NULL);
}

/* As many rows from `from` on as fit into one transaction. */
static enum err write_once(struct sink *s, struct import_block *b, size_t from, size_t count,
                           size_t *ret_done)
{
    __attribute__((cleanup(batch_release))) struct store_batch *batch = NULL;
    TRY(store_batch_begin(s->store, &batch));
    if (s->terms.dry_run)
        s->profile = -1; /* the last one was taken back */
    size_t done = 0;
    while (done < count && done < STORE_BATCH_MAX &&
           store_batch_held_us(batch) <= s->pace.rows_us) {
        uint32_t i = s->order[from + done];
        TRY(put_one(s, batch, &b->items[i], &s->answers[i]));
        done++;
    }
    *ret_done = done;
    if (s->terms.dry_run)
        return ERR_OK;
    struct store_batch *whole = batch;
    int64_t held_us;
    batch = NULL;
    TRY(store_batch_commit_lazily(whole, &held_us));
    pace_note(&s->pace, held_us);
    rest_us(pace_rest_us(held_us));
    return ERR_OK;
}

static time_t monotonic_s(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec;
}

static enum err write_patiently(struct sink *s, struct import_block *b, size_t from, size_t count,
                                size_t *ret_done)
{
    time_t until = monotonic_s() + BUSY_WAIT_S;
    for (;;) {
        enum err e = write_once(s, b, from, count, ret_done);
        if (e != ERR_OK)
            s->profile = -1; /* it may have been new, and is gone */
        if (e != ERR_STORE_BUSY || monotonic_s() >= until)
            return e;
        rest_us(BUSY_PAUSE_US);
    }
}

static int compare_keys(const void *a, const void *b, void *context)
{
    const struct import_block *block = context;
    const uint32_t *x = a, *y = b;
    return memcmp(block->items[*x].enrollment.ek_hash, block->items[*y].enrollment.ek_hash,
                  TPM_KEY_HASH_LEN);
}

/* In the order of their keys, so that neighbours in the index are written together; but rows that
 * collide with an earlier one of the block come after all others, in the order of the file. */
static size_t order_rows(struct sink *s, const struct import_block *b)
{
    uint32_t late[IMPORT_BLOCK_ROWS];
    size_t count = 0, late_count = 0;
    seen_clear(s->seen_block);
    for (uint32_t i = 0; i < b->count; i++) {
        enum seen_what what;
        struct seen_place there;
        if (b->items[i].outcome == IMPORT_REFUSED)
            continue;
        struct seen_print print = seen_print(s->seen_block, &b->items[i].enrollment);
        seen_find(s->seen_block, &print, &what, &there);
        if (what == SEEN_NOTHING)
            s->order[count++] = i;
        else
            late[late_count++] = i;
        seen_add(s->seen_block, &print, (struct seen_place){0, i});
    }
    qsort_r(s->order, count, sizeof s->order[0], compare_keys, (void *)(uintptr_t)b);
    memcpy(s->order + count, late, late_count * sizeof late[0]);
    return count + late_count;
}

/* ---- what the answers mean ---- */

/* " (FILE:LINE)" where this run met the other row, else nothing. */
static struct import_reason place_text(const struct sink *s, enum seen_what what,
                                       struct seen_place place)
{
    struct import_reason t = {""};
    char file[100];
    if (what == SEEN_NOTHING)
        return t;
    import_text_safe(span_text(s->terms.files[place.file_index]), file, sizeof file);
    import_reason_set(&t, " (%s:%u)", file, place.line);
    return t;
}

/* What differs between the row and the one enrolled under its id. */
static const char *difference(const struct sink *s, const struct store_enrollment *row)
{
    struct store_enrollment old;
    if (s->reader == NULL || store_enrollment_find(s->reader, &row->id, &old) != ERR_OK)
        return "with other values";
    if (!span_equal(SPAN_ARRAY(old.ek_hash), SPAN_ARRAY(row->ek_hash)))
        return "with another endorsementKey";
    if (!span_equal(span_of(old.ek, old.ek_len), span_of(row->ek, row->ek_len)))
        return "with another public area of the same endorsementKey";
    if (!span_equal(regid_span(&old.device_id), regid_span(&row->device_id)))
        return "with another deviceId";
    if (!span_equal(span_of(old.srk, old.srk_len), span_of(row->srk, row->srk_len)))
        return "with another storageRootKey";
    return old.pin_srk != row->pin_srk ? "with another pinSrk" : "with other options";
}

static void explain_conflict(const struct sink *s, struct import_item *item,
                             const struct answer *answer, const char *place)
{
    static const enum import_outcome outcomes[] = {[CONFLICT_FAIL] = IMPORT_REFUSED,
                                                   [CONFLICT_SKIP] = IMPORT_SKIPPED,
                                                   [CONFLICT_REPLACE] = IMPORT_REPLACED};
    item->outcome = outcomes[s->terms.conflict];
    if (item->outcome == IMPORT_REPLACED)
        import_reason_set(&item->reason, "replaces what was enrolled for %s%s", answer->other.text,
                          place);
    else if (answer->put == STORE_PUT_ID_TAKEN)
        import_reason_set(&item->reason, "registrationId: enrolled already %s%s",
                          difference(s, &item->enrollment), place);
    else
        import_reason_set(&item->reason, "%s: enrolled already for %s%s",
                          answer->put == STORE_PUT_KEY_TAKEN ? "endorsementKey" : "deviceId",
                          answer->other.text, place);
}

/* What the store would say, had it the rows of this run before. */
static void correct(struct answer *answer, enum seen_what what)
{
    static const enum store_put as_put[] = {[SEEN_NOTHING] = STORE_PUT_NEW,
                                            [SEEN_SAME] = STORE_PUT_SAME,
                                            [SEEN_ID] = STORE_PUT_ID_TAKEN,
                                            [SEEN_KEY] = STORE_PUT_KEY_TAKEN,
                                            [SEEN_DEVICE] = STORE_PUT_DEVICE_TAKEN};
    if (answer->put != STORE_PUT_NEW || what == SEEN_NOTHING)
        return;
    answer->put = as_put[what];
    import_text_safe(SPAN_LITERAL("another row"), answer->other.text, sizeof answer->other.text);
}

static void settle(struct sink *s, struct import_item *item, const struct seen_print *print,
                   struct answer *answer, struct seen_place here)
{
    enum seen_what what;
    struct seen_place there = {0};
    seen_find(s->seen, print, &what, &there);
    if (s->terms.dry_run || s->load != NULL)
        correct(answer, what);
    struct import_reason place = place_text(s, what, there);
    bool in = answer->put == STORE_PUT_NEW || answer->put == STORE_PUT_SAME;
    if (!in)
        explain_conflict(s, item, answer, place.text);
    else
        item->outcome = answer->put == STORE_PUT_NEW ? IMPORT_NEW : IMPORT_SAME;
    if (item->outcome == IMPORT_SAME)
        import_reason_set(&item->reason, "enrolled already, the same%s", place.text);
    if (in || item->outcome == IMPORT_REPLACED)
        seen_add(s->seen, print, here);
}

static struct seen_place place_of(const struct import_block *b, size_t i)
{
    return (struct seen_place){(uint32_t)b->file_index, (uint32_t)b->items[i].row.line};
}

static enum err load_one(struct sink *s, struct import_item *item, const struct seen_print *print,
                         struct seen_place here)
{
    struct answer answer = {.put = STORE_PUT_NEW};
    settle(s, item, print, &answer, here);
    if (seen_is_full(s->seen))
        return ERR_MEMORY;
    if (item->outcome != IMPORT_NEW)
        return ERR_OK;
    TRY(store_load_put(s->load, &item->enrollment));
    if (item->ek_certificate.len > 0 && item->ek_certificate.len <= STORE_CERTIFICATE_CAP)
        return store_load_certificate(s->load, item->ek_certificate);
    return ERR_OK;
}

static enum err load_block(struct sink *s, struct import_block *b)
{
    for (size_t i = 0; i < b->count; i++) {
        if (b->items[i].outcome == IMPORT_REFUSED)
            continue;
        TRY(settle_profile(s, NULL, &b->items[i]));
        s->prints[i] = seen_print(s->seen, &b->items[i].enrollment);
    }
    for (size_t i = 0; i < b->count; i++)
        if (b->items[i].outcome != IMPORT_REFUSED)
            TRY(load_one(s, &b->items[i], &s->prints[i], place_of(b, i)));
    return ERR_OK;
}

/* A load must know all its rows. One that is longer ends where memory would grow too much: what came so
 * far is published, and batches go on, whose collisions the database finds. */
static enum err leave_load(struct sink *s)
{
    struct store_load *load = s->load;
    if (s->terms.whole)
        return ERR_FULL;
    s->load = NULL;
    TRY(store_load_commit(load, NULL));
    return store_reader_open(s->store, &s->reader);
}

enum err sink_write(struct sink *s, struct import_block *b)
{
    if (s->load != NULL && seen_room(s->seen) < b->count)
        TRY(leave_load(s));
    if (s->load != NULL)
        return load_block(s, b);
    enum err e = ERR_OK;
    size_t count = order_rows(s, b), from = 0;
    for (size_t done = 0; e == ERR_OK && from < count; from += e == ERR_OK ? done : 0)
        e = write_patiently(s, b, from, count - from, &done);
    enum err synced = store_batch_sync(s->store);
    if (synced != ERR_OK)
        from = 0; /* nobody knows which of them will last */
    for (size_t i = from; i < count; i++)
        b->items[s->order[i]].outcome = IMPORT_UNTRIED;
    for (size_t i = 0; i < b->count; i++) {
        if (b->items[i].outcome >= IMPORT_REFUSED)
            continue;
        struct seen_print print = seen_print(s->seen, &b->items[i].enrollment);
        settle(s, &b->items[i], &print, &s->answers[i], place_of(b, i));
    }
    return e == ERR_OK ? synced : e;
}
