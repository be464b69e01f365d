#include "inner.h"

#include <inttypes.h>
#include <string.h>
#include <wire/names.h>
#include <wire/text.h>

/* Pages go by the rows' numbers: whoever is there from the first page to the last is seen once, however
 * many come and go meanwhile. A page looks at so many rows; one that found less says that there is
 * more. */
#define SCAN_MAX 4000
#define ROW_JSON_CAP 49152 /* a row's JSON is no longer than that: see model.c's caps */

struct page {
    const struct target *target;
    struct query query;
    uint64_t after;      /* the last row looked at */
    uint32_t max, rows;
    bool more;
};

/* ---- the request ---- */
static enum err max_read(struct manager_exchange *x, uint32_t *ret_max)
{
    struct span text = x->request.max_item_count;
    int64_t max = MANAGER_PAGE_MAX;
    if (text.len > 0 && (decimal_read(text, &max) != ERR_OK || max < 1))
        return refuse(x, ERR_INVALID_ARGUMENT, "x-ms-max-item-count must be a positive number");
    *ret_max = max > MANAGER_PAGE_MAX ? MANAGER_PAGE_MAX : (uint32_t)max;
    return ERR_OK;
}

static void continuation_write(uint64_t after, char *ret_text, size_t cap)
{
    uint8_t bytes[8];
    struct buf b = BUF_OVER(bytes), out = buf_over(ret_text, cap);
    buf_put_u64(&b, after);
    base64_write(&out, SPAN_ARRAY(bytes));
    ERR_ASSERT(buf_end_text(&out) == ERR_OK);
}

static enum err continuation_read(struct manager_exchange *x, uint64_t *ret_after)
{
    struct span text = x->request.continuation;
    uint8_t bytes[8];
    struct buf b = BUF_OVER(bytes);
    *ret_after = 0;
    if (text.len == 0)
        return ERR_OK;
    if (base64_read(text, &b) != ERR_OK || b.len != sizeof bytes)
        return refuse(x, ERR_INVALID_ARGUMENT, "x-ms-continuation is not one of ours");
    struct rd r = rd_over(buf_span(&b));
    *ret_after = rd_u64(&r);
    return *ret_after <= INT64_MAX ? ERR_OK
                                   : refuse(x, ERR_INVALID_ARGUMENT,
                                            "x-ms-continuation is not one of ours");
}

static enum err query_text_read(struct manager_exchange *x, bool may_be_empty,
                                struct query *ret_query)
{
    JSON *body = NULL;
    TRY(body_read(x, may_be_empty, &body));
    const json_t *text = json_object_get(body, "query");
    if (text == NULL && may_be_empty)
        return query_read(x, span_of("", 0), ret_query);
    if (!json_is_string(text))
        return refuse(x, ERR_INVALID_ARGUMENT, "query is missing");
    return query_read(x, span_of(json_string_value(text), json_string_length(text)), ret_query);
}

/* ---- rows ---- */
static bool has_room(const struct manager_exchange *x)
{
    return x->answer.body->cap - x->answer.body->len > ROW_JSON_CAP;
}

static enum err row_put(struct manager_worker *w, struct manager_exchange *x, struct page *p,
                        const struct row *row)
{
    struct store_profile profile;
    JSON *json = NULL;
    TRY(model_profile(w, row, &profile));
    TRY(model_write(w, row, &profile, NULL, &json));
    if (p->query.with_state && row->kind == KIND_ENROLLMENT)
        TRY(registration_attach(w, &row->enrollment.id, json));
    if (p->rows++ > 0)
        buf_put_u8(x->answer.body, ',');
    return respond_json(x, json);
}

static enum err row_next(struct manager_worker *w, struct page *p, struct row *ret_row)
{
    ret_row->kind = p->target->kind;
    if (ret_row->kind == KIND_GROUP)
        TRY(store_group_next(w->reader, p->after, &ret_row->group));
    else
        TRY(store_enrollment_next(w->reader, p->after, &ret_row->enrollment));
    p->after = row_number(ret_row);
    return ERR_OK;
}

/* Whether one row at most can match, and then that row alone is looked at. */
static enum err row_pinned(struct manager_worker *w, const struct page *p, bool *ret_pinned,
                           struct row *ret_row)
{
    struct span value;
    struct regid id;
    ret_row->kind = p->target->kind;
    *ret_pinned = query_pins(&p->query, FIELD_ID, &value);
    if (!*ret_pinned)
        return ERR_OK;
    if (regid_read(value, &id) != ERR_OK)
        return ERR_ABSENT;
    return ret_row->kind == KIND_GROUP ? store_group_find(w->reader, &id, &ret_row->group)
                                       : store_enrollment_find(w->reader, &id, &ret_row->enrollment);
}

static enum err scan(struct manager_worker *w, struct manager_exchange *x, struct page *p)
{
    struct row row;
    for (int looked = 0;; looked++) {
        uint64_t before = p->after;
        enum err e = row_next(w, p, &row);
        if (e == ERR_ABSENT)
            return ERR_OK;
        TRY(e);
        if (looked == SCAN_MAX || p->rows == p->max || !has_room(x)) {
            p->after = before;
            p->more = true;
            return ERR_OK;
        }
        if (query_matches(&p->query, &row))
            TRY(row_put(w, x, p, &row));
    }
}

static enum err enrollments(struct manager_worker *w, struct manager_exchange *x, struct page *p)
{
    struct row row;
    bool pinned = false;
    TRY(query_text_read(x, false, &p->query));
    enum err e = row_pinned(w, p, &pinned, &row);
    if (!pinned)
        return scan(w, x, p);
    if (e == ERR_ABSENT)
        return ERR_OK;
    TRY(e);
    return query_matches(&p->query, &row) && p->after < row_number(&row) ? row_put(w, x, p, &row)
                                                                         : ERR_OK;
}

static enum err registrations(struct manager_worker *w, struct manager_exchange *x, struct page *p)
{
    struct store_registration row;
    TRY(query_text_read(x, true, &p->query));
    for (;;) {
        uint64_t before = p->after;
        JSON *json = NULL;
        enum err e = store_registration_next(w->reader, &p->target->id, p->after, &row);
        if (e == ERR_ABSENT)
            return ERR_OK;
        TRY(e);
        p->after = row.number;
        if (p->rows == p->max || !has_room(x)) {
            p->after = before;
            p->more = true;
            return ERR_OK;
        }
        TRY(registration_write(&row, &json));
        if (p->rows++ > 0)
            buf_put_u8(x->answer.body, ',');
        TRY(respond_json(x, json));
    }
}

static const char *const item_types[] = {
    [KIND_ENROLLMENT] = "Enrollment",
    [KIND_GROUP] = "EnrollmentGroup",
    [KIND_REGISTRATION] = "DeviceRegistration",
};

enum err page_answer(struct manager_worker *w, struct manager_exchange *x, const struct target *t)
{
    struct page p = {.target = t};
    TRY(max_read(x, &p.max));
    TRY(continuation_read(x, &p.after));
    buf_put_u8(x->answer.body, '[');
    TRY(t->kind == KIND_REGISTRATION ? registrations(w, x, &p) : enrollments(w, x, &p));
    buf_put_u8(x->answer.body, ']');
    x->answer.status = 200;
    x->answer.max_item_count = p.max;
    if (p.more)
        continuation_write(p.after, x->answer.continuation, sizeof x->answer.continuation);
    return span_to_text(span_text(item_types[t->kind]), x->answer.item_type,
                        sizeof x->answer.item_type);
}
