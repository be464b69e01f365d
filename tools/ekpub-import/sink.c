#include "sink.h"

#include <stdlib.h>
#include <time.h>

#include "seen.h"

#define BUSY_PAUSE_MS 50
#define BUSY_PAUSES 600

struct answer {
    enum store_put put;
    struct regid other;
};

struct sink {
    struct store *store;
    struct store_reader *reader;
    struct seen *seen;
    const char *const *files;
    bool dry_run;
    struct answer answers[IMPORT_BLOCK_ROWS];
};

static void batch_release(struct store_batch **b)
{
    store_batch_rollback(*b);
}

enum err sink_open(const char *data_dir, const char *const *files, bool dry_run,
                   struct sink **ret_sink, struct import_reason *ret_reason)
{
    struct store_reason why = {""};
    struct sink *s = calloc(1, sizeof *s);
    enum err e = s == NULL ? ERR_MEMORY : seen_open(&s->seen);
    if (e == ERR_OK) {
        s->files = files;
        s->dry_run = dry_run;
        e = store_open(data_dir, STORE_IMPORT, &s->store, &why);
    }
    if (e == ERR_OK)
        e = store_reader_open(s->store, &s->reader);
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
    store_reader_close(s->reader);
    store_close(s->store);
    seen_close(s->seen);
    free(s);
}

bool sink_lost_count(const struct sink *s)
{
    return s->dry_run && seen_is_full(s->seen);
}

/* ---- one transaction ---- */

static bool has_rows(const struct import_block *b)
{
    for (size_t i = 0; i < b->count; i++)
        if (b->items[i].outcome != IMPORT_REFUSED)
            return true;
    return false;
}

static enum err write_once(struct sink *s, const struct import_block *b)
{
    __attribute__((cleanup(batch_release))) struct store_batch *batch = NULL;
    TRY(store_batch_begin(s->store, &batch));
    for (size_t i = 0; i < b->count; i++) {
        const struct import_item *item = &b->items[i];
        if (item->outcome != IMPORT_REFUSED)
            TRY(store_batch_put(batch, &item->enrollment, &s->answers[i].put,
                                &s->answers[i].other));
    }
    if (s->dry_run)
        return ERR_OK;
    struct store_batch *done = batch;
    batch = NULL;
    return store_batch_commit(done);
}

static enum err write_patiently(struct sink *s, const struct import_block *b)
{
    for (int pause = 0;; pause++) {
        enum err e = write_once(s, b);
        if (e != ERR_STORE_BUSY || pause == BUSY_PAUSES)
            return e;
        (void)nanosleep(&(struct timespec){.tv_nsec = BUSY_PAUSE_MS * 1000000L}, NULL);
    }
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
    import_text_safe(span_text(s->files[place.file_index]), file, sizeof file);
    import_reason_set(&t, " (%s:%u)", file, place.line);
    return t;
}

/* What differs between the row and the one enrolled under its id. */
static const char *difference(const struct sink *s, const struct store_enrollment *row)
{
    struct store_enrollment old;
    if (store_enrollment_find(s->reader, &row->id, &old) != ERR_OK)
        return "with other values";
    if (!span_equal(SPAN_ARRAY(old.ek_hash), SPAN_ARRAY(row->ek_hash)))
        return "with another endorsementKey";
    if (!span_equal(span_of(old.ek, old.ek_len), span_of(row->ek, row->ek_len)))
        return "with another public area of the same endorsementKey";
    if (!span_equal(regid_span(&old.device_id), regid_span(&row->device_id)))
        return "with another deviceId";
    if (!span_equal(span_of(old.srk, old.srk_len), span_of(row->srk, row->srk_len)))
        return "with another storageRootKey";
    return "with another pinSrk";
}

static void explain_refusal(const struct sink *s, struct import_item *item,
                            const struct answer *answer, const char *place)
{
    item->outcome = IMPORT_REFUSED;
    if (answer->put == STORE_PUT_ID_TAKEN)
        import_reason_set(&item->reason, "registrationId: enrolled already %s%s",
                          difference(s, &item->enrollment), place);
    else
        import_reason_set(&item->reason, "%s: enrolled already for %s%s",
                          answer->put == STORE_PUT_KEY_TAKEN ? "endorsementKey" : "deviceId",
                          answer->other.text, place);
}

/* In a dry run the store has forgotten the blocks before: what it would have said, had it not. */
static void correct_dry_run(struct answer *answer, enum seen_what what)
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

static enum err settle(struct sink *s, struct import_item *item, struct answer *answer,
                       struct seen_place here)
{
    enum seen_what what;
    struct seen_place there = {0};
    TRY(seen_find(s->seen, &item->enrollment, &what, &there));
    if (s->dry_run)
        correct_dry_run(answer, what);
    struct import_reason place = place_text(s, what, there);
    if (answer->put != STORE_PUT_NEW && answer->put != STORE_PUT_SAME) {
        explain_refusal(s, item, answer, place.text);
        return ERR_OK;
    }
    item->outcome = answer->put == STORE_PUT_NEW ? IMPORT_NEW : IMPORT_SAME;
    import_reason_set(&item->reason, "%s%s",
                      item->outcome == IMPORT_NEW ? "" : "enrolled already, the same", place.text);
    return seen_add(s->seen, &item->enrollment, here);
}

enum err sink_write(struct sink *s, struct import_block *b)
{
    if (!has_rows(b))
        return ERR_OK;
    TRY(write_patiently(s, b));
    for (size_t i = 0; i < b->count; i++) {
        struct import_item *item = &b->items[i];
        struct seen_place here = {(uint32_t)b->file_index, (uint32_t)item->row.line};
        if (item->outcome != IMPORT_REFUSED)
            TRY(settle(s, item, &s->answers[i], here));
    }
    return ERR_OK;
}
