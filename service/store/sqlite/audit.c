#include "audit.h"
#include "internal.h"
#include "row.h"
#include "schema.h"
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <wire/sas.h>

#define AUDIT_OUTCOME_CAP 32

_Static_assert(AUDIT_HASH_LEN == SAS_SIGNATURE_LEN, "an HMAC");

static const struct {
    enum statement add, next, last, chain, chained, end, end_put;
} audit_statements[DATABASE_COUNT] = {
    [ENROLLMENTS] = {ENROLLMENT_AUDIT_ADD, ENROLLMENT_AUDIT_NEXT, ENROLLMENT_AUDIT_LAST,
                     ENROLLMENT_AUDIT_CHAIN, ENROLLMENT_AUDIT_CHAINED, ENROLLMENT_AUDIT_END,
                     ENROLLMENT_AUDIT_END_PUT},
    [REGISTRATIONS] = {REGISTRATION_AUDIT_ADD, REGISTRATION_AUDIT_NEXT, REGISTRATION_AUDIT_LAST,
                       REGISTRATION_AUDIT_CHAIN, REGISTRATION_AUDIT_CHAINED,
                       REGISTRATION_AUDIT_END, REGISTRATION_AUDIT_END_PUT},
};

/* ---- rows ---- */

/* An outcome by its name: the numbers of errors change from version to version. */
struct audit_row {
    struct store_audit entry;
    char outcome[AUDIT_OUTCOME_CAP];
    uint64_t number;
    bool chained;
    uint8_t hash[AUDIT_HASH_LEN];
};

static void audit_put_row(struct query *q, const struct audit_row *row)
{
    query_put_integer(q, row->entry.at_s);
    query_put_text(q, row->entry.who);
    query_put_text(q, row->entry.what);
    query_put_text(q, row->entry.object);
    query_put_text(q, row->entry.id.text);
    query_put_text(q, row->outcome);
    query_put_text(q, row->entry.reason);
    if (!row->chained)
        return; /* number and hash are NULL */
    query_put_integer(q, (int64_t)row->number);
    query_put_blob(q, row->hash, sizeof row->hash);
}

static enum err audit_outcome(const char *name)
{
    for (int e = 0; e < ERR_COUNT; e++)
        if (strcmp(name, err_name((enum err)e)) == 0)
            return (enum err)e;
    return ERR_INTERNAL;
}

static enum err audit_take_row(struct query *q, struct audit_row *ret_row)
{
    struct store_audit *entry = &ret_row->entry;

    *ret_row = (struct audit_row){.number = 0};
    TRY(query_row(q));
    entry->at_s = query_take_integer(q, INT64_MIN, INT64_MAX);
    query_take_text(q, 0, entry->who, sizeof entry->who);
    query_take_text(q, 0, entry->what, sizeof entry->what);
    query_take_text(q, 0, entry->object, sizeof entry->object);
    query_take_text(q, 0, entry->id.text, sizeof entry->id.text);
    query_take_text(q, 0, ret_row->outcome, sizeof ret_row->outcome);
    query_take_text(q, 0, entry->reason, sizeof entry->reason);
    ret_row->number = (uint64_t)query_take_integer(q, 1, INT64_MAX);
    ret_row->chained = !query_skip_null(q);
    if (ret_row->chained)
        (void)query_take_blob(q, AUDIT_HASH_LEN, ret_row->hash, AUDIT_HASH_LEN);
    entry->outcome = audit_outcome(ret_row->outcome);
    return query_row_end(q);
}

static enum err audit_next_row(struct db *db, uint64_t after, struct audit_row *ret_row)
{
    QUERY q = query_on(db, audit_statements[db->which].next);

    query_put_integer(&q, (int64_t)after);
    return audit_take_row(&q, ret_row);
}

/* ---- hashes ---- */

static void sized_put(struct buf *b, const char *text)
{
    size_t mark = buf_open_u16(b);

    buf_put_text(b, text);
    buf_close_u16(b, mark);
}

static enum err audit_hash_row(const struct secret *key, const uint8_t before[AUDIT_HASH_LEN],
                               const struct audit_row *row, uint8_t ret_hash[AUDIT_HASH_LEN])
{
    uint8_t bytes[sizeof *row + 64];
    struct buf b = BUF_OVER(bytes);

    buf_put(&b, span_of(before, AUDIT_HASH_LEN));
    buf_put_u64(&b, row->number);
    buf_put_u64(&b, (uint64_t)row->entry.at_s);
    sized_put(&b, row->entry.who);
    sized_put(&b, row->entry.what);
    sized_put(&b, row->entry.object);
    sized_put(&b, row->entry.id.text);
    sized_put(&b, row->outcome);
    sized_put(&b, row->entry.reason);
    TRY(buf_end(&b));
    return sas_sign(secret_span(key), buf_span(&b), ret_hash);
}

static enum err audit_hash_beginning(const struct db *db, const struct secret *key,
                                     uint8_t ret_hash[AUDIT_HASH_LEN])
{
    char text[64];

    (void)snprintf(text, sizeof text, "cradle audit v1 %s", store_schemas[db->which].file);
    return sas_sign(secret_span(key), span_text(text), ret_hash);
}

static enum err audit_sign_end(const struct secret *key, uint64_t number,
                               const uint8_t hash[AUDIT_HASH_LEN],
                               uint8_t ret_signature[AUDIT_HASH_LEN])
{
    uint8_t bytes[64];
    struct buf b = BUF_OVER(bytes);

    buf_put_text(&b, "end");
    buf_put_u64(&b, number);
    buf_put(&b, span_of(hash, AUDIT_HASH_LEN));
    return sas_sign(secret_span(key), buf_span(&b), ret_signature);
}

/* ---- the end ---- */

struct audit_end_row {
    uint64_t number;
    uint8_t hash[AUDIT_HASH_LEN], signature[AUDIT_HASH_LEN];
};

static enum err audit_find_end(struct db *db, struct audit_end_row *ret_end)
{
    QUERY q = query_on(db, audit_statements[db->which].end);

    TRY(query_row(&q));
    ret_end->number = (uint64_t)query_take_integer(&q, 0, INT64_MAX);
    (void)query_take_blob(&q, AUDIT_HASH_LEN, ret_end->hash, AUDIT_HASH_LEN);
    (void)query_take_blob(&q, AUDIT_HASH_LEN, ret_end->signature, AUDIT_HASH_LEN);
    return query_row_end(&q);
}

static enum err audit_check_end(const struct secret *key, const struct audit_end_row *end,
                                bool *ret_genuine)
{
    uint8_t signature[AUDIT_HASH_LEN];

    TRY(audit_sign_end(key, end->number, end->hash, signature));
    *ret_genuine = span_equal_constant_time(SPAN_ARRAY(signature), SPAN_ARRAY(end->signature));
    return ERR_OK;
}

enum err audit_end(struct db *db, struct audit_chain *chain)
{
    uint8_t signature[AUDIT_HASH_LEN];

    if (!chain->loaded)
        return ERR_OK;
    TRY(audit_sign_end(chain->key, chain->number, chain->hash, signature));
    QUERY q = query_on(db, audit_statements[db->which].end_put);
    query_put_integer(&q, (int64_t)chain->number);
    query_put_blob(&q, chain->hash, sizeof chain->hash);
    query_put_blob(&q, signature, sizeof signature);
    return query_done(&q);
}

/* ---- growing ---- */

static enum err audit_chain_row(struct audit_chain *chain, struct audit_row *row)
{
    TRY(audit_hash_row(chain->key, chain->hash, row, row->hash));
    memcpy(chain->hash, row->hash, sizeof chain->hash);
    chain->number = row->number;
    row->chained = true;
    return ERR_OK;
}

static enum err audit_write_hash(struct db *db, const struct audit_row *row)
{
    QUERY q = query_on(db, audit_statements[db->which].chain);

    query_put_integer(&q, (int64_t)row->number);
    query_put_blob(&q, row->hash, sizeof row->hash);
    return query_done(&q);
}

/* An entry that has a hash already, behind the end, is a forgery: it is left as it is, and shows. */
static enum err audit_chain_rest(struct db *db, struct audit_chain *chain)
{
    struct audit_row row;

    for (;;) {
        enum err e = audit_next_row(db, chain->number, &row);
        if (e == ERR_ABSENT)
            return ERR_OK;
        TRY(e);
        bool forged = row.chained;
        TRY(audit_chain_row(chain, &row));
        if (!forged)
            TRY(audit_write_hash(db, &row));
    }
}

/* Where a number is left out nothing before it can be taken away unseen. */
static enum err audit_leave_gap(struct db *db, struct audit_chain *chain)
{
    uint64_t last = 0;

    TRY(row_find_number(db, audit_statements[db->which].last, &last));
    chain->number = (last > chain->number ? last : chain->number) + 1;
    return ERR_OK;
}

/* Nothing was ever chained here: this is the first time, of a new database or of one that was migrated,
 * or somebody has taken the end away. The entry tells when it was. */
static enum err audit_found(struct db *db, struct audit_chain *chain)
{
    const struct store_audit begin = {
        .who = "cradled", .what = "begin", .object = "audit", .outcome = ERR_OK,
        .reason = "no entry before this one was chained", .at_s = time(NULL)};
    uint64_t chained = 0;

    TRY(audit_hash_beginning(db, chain->key, chain->hash));
    TRY(row_find_number(db, audit_statements[db->which].chained, &chained));
    TRY(chained == 0 ? audit_chain_rest(db, chain) : audit_leave_gap(db, chain));
    return audit_add(db, chain, &begin);
}

static enum err audit_load(struct db *db, struct audit_chain *chain)
{
    struct audit_end_row end;
    bool genuine = false;
    enum err e = audit_find_end(db, &end);

    chain->loaded = true;
    chain->number = 0;
    if (e == ERR_ABSENT)
        return audit_found(db, chain);
    TRY(e);
    TRY(audit_check_end(chain->key, &end, &genuine));
    chain->number = end.number;
    memcpy(chain->hash, end.hash, sizeof chain->hash);
    return genuine ? audit_chain_rest(db, chain) : audit_leave_gap(db, chain);
}

enum err audit_catch_up(struct db *db, struct audit_chain *chain)
{
    if (chain->key == NULL || chain->loaded)
        return ERR_OK;
    return audit_load(db, chain);
}

enum err audit_add(struct db *db, struct audit_chain *chain, const struct store_audit *entry)
{
    struct audit_row row = {.entry = *entry};

    TRY(span_to_text(span_text(err_name(entry->outcome)), row.outcome, sizeof row.outcome));
    TRY(audit_catch_up(db, chain));
    if (chain->key != NULL) {
        row.number = chain->number + 1;
        TRY(audit_chain_row(chain, &row));
    }
    QUERY q = query_on(db, audit_statements[db->which].add);
    audit_put_row(&q, &row);
    return query_done(&q);
}

/* ---- reading ---- */

enum err audit_find_next(struct db *db, uint64_t after, uint64_t *ret_number,
                         struct store_audit *ret_entry, uint8_t ret_hash[AUDIT_HASH_LEN])
{
    struct audit_row row;

    TRY(audit_next_row(db, after <= INT64_MAX ? after : INT64_MAX, &row));
    *ret_number = row.number;
    *ret_entry = row.entry;
    memcpy(ret_hash, row.hash, AUDIT_HASH_LEN);
    return ERR_OK;
}

struct audit_walk {
    const struct secret *key;
    struct audit_end_row end;
    uint64_t next; /* the number that must come */
    struct store_audit_verdict verdict;
};

/* False: it is not what it should be. */
static enum err audit_judge(struct audit_walk *w, const struct audit_row *row, bool *ret_good)
{
    uint8_t hash[AUDIT_HASH_LEN];

    if (row->number > w->end.number) { /* by somebody without the key: nothing can be said of it */
        w->verdict.unchained++;
        *ret_good = !row->chained && row->number == w->next;
        return ERR_OK;
    }
    TRY(audit_hash_row(w->key, w->verdict.hash, row, hash));
    *ret_good = row->chained && row->number == w->next &&
                span_equal_constant_time(SPAN_ARRAY(hash), SPAN_ARRAY(row->hash));
    if (!*ret_good)
        return ERR_OK;
    memcpy(w->verdict.hash, hash, sizeof hash);
    w->verdict.chained++;
    return ERR_OK;
}

static enum err audit_walk(struct db *db, struct audit_walk *w)
{
    struct audit_row row;
    bool good = true;
    QUERY q = query_on(db, audit_statements[db->which].next);

    query_put_integer(&q, 0);
    for (; good; w->next++) {
        enum err e = audit_take_row(&q, &row);
        if (e == ERR_ABSENT)
            break;
        good = e == ERR_OK;
        if (!good && !q.bad)
            return e;
        if (good)
            TRY(audit_judge(w, &row, &good));
        if (!good)
            w->verdict.wrong = w->next;
    }
    return ERR_OK;
}

/* An end that is cut off leaves fewer entries than the signed end says, or another last one. */
static void audit_judge_end(struct audit_walk *w)
{
    struct store_audit_verdict *v = &w->verdict;

    if (v->wrong == 0 && v->chained < w->end.number)
        v->wrong = v->chained + 1;
    if (v->wrong == 0 && v->sealed &&
        !span_equal_constant_time(SPAN_ARRAY(v->hash), SPAN_ARRAY(w->end.hash)))
        v->wrong = v->chained;
}

static enum err audit_verify_held(struct db *db, struct audit_walk *w)
{
    enum err e = audit_find_end(db, &w->end);

    if (e != ERR_OK && e != ERR_ABSENT)
        return e;
    if (e == ERR_OK)
        TRY(audit_check_end(w->key, &w->end, &w->verdict.sealed));
    TRY(audit_hash_beginning(db, w->key, w->verdict.hash));
    TRY(audit_walk(db, w));
    audit_judge_end(w);
    return ERR_OK;
}

enum err audit_verify(struct db *db, const struct secret *key,
                      struct store_audit_verdict *ret_verdict)
{
    struct audit_walk w = {.key = key, .next = 1};

    TRY(db_script(db, "BEGIN", NULL));
    enum err e = audit_verify_held(db, &w);
    db_abandon(db);
    if (e == ERR_OK)
        *ret_verdict = w.verdict;
    return e;
}
