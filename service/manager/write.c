#include "inner.h"

#include <stdlib.h>
#include <string.h>
#include <wire/names.h>

static struct span json_span(const json_t *text)
{
    return span_of(json_string_value(text), json_string_length(text));
}

/* ---- the work ---- */
struct manager_work *work_open(const struct target *t, size_t count)
{
    struct manager_work *work = calloc(1, sizeof *work + count * sizeof work->drafts[0]);
    if (work == NULL)
        return NULL;
    work->target = *t;
    work->count = count;
    return work;
}

void work_close(struct manager_work *work)
{
    if (work == NULL)
        return;
    for (size_t i = 0; i < work->count; i++) {
        json_decref(work->drafts[i].attestation);
        bytes_wipe(work->drafts[i].credential, sizeof work->drafts[i].credential);
    }
    free(work);
}

static enum store_object object_of(enum kind kind)
{
    switch (kind) {
    case KIND_ENROLLMENT:
        return STORE_ENROLLMENT;
    case KIND_GROUP:
        return STORE_GROUP;
    default:
        return STORE_REGISTRATION;
    }
}

static void change_audit(struct manager_worker *w, const struct manager_exchange *x,
                         enum kind kind, bool remove, const struct regid *id,
                         struct store_audit *audit)
{
    static const char *const objects[] = {"enrollment", "enrollmentGroup", "registration"};
    (void)!span_to_text(span_text(x->policy), audit->who, sizeof audit->who);
    (void)!span_to_text(span_text(remove ? "delete" : "put"), audit->what, sizeof audit->what);
    (void)!span_to_text(span_text(objects[kind]), audit->object, sizeof audit->object);
    audit->id = *id;
    audit->at_s = manager_now(w);
}

/* The next change of the work, about one id, for the draft. */
static struct store_change *change_add(struct manager_worker *w, struct manager_exchange *x,
                                       struct manager_work *work, struct draft *draft,
                                       const struct regid *id, bool remove,
                                       const struct condition *c)
{
    struct store_change *change = &work->changes[work->change_count];
    enum kind kind = work->target.kind;
    *change = (struct store_change){
        .object = object_of(kind),
        .match = c->match,
        .number = c->number,
        .revision = c->revision,
        .remove = remove,
    };
    change->id = *id;
    change_audit(w, x, kind, remove, id, &change->audit);
    draft->change = change;
    return change;
}

/* ---- putting ---- */
/* What a change takes over from the row that is there must be from the row it changes: so even an
 * unconditional one names the revision it has seen. */
static enum err settle(struct manager_worker *w, enum kind kind, const struct regid *id,
                       struct condition *c, struct row *row, bool *ret_present)
{
    *ret_present = false;
    if (c->match == STORE_MATCH_ABSENT)
        return ERR_OK;
    enum err e = model_find(w, kind, id, row);
    if (e == ERR_NOT_ENROLLED) {
        if (c->match == STORE_MATCH_ANY)
            c->match = STORE_MATCH_ABSENT;
        return ERR_OK; /* a revision that is not there is the store's to refuse */
    }
    TRY(e);
    *ret_present = true;
    if (c->match != STORE_MATCH_ANY)
        return ERR_OK;
    c->match = STORE_MATCH_REVISION;
    c->number = row_number(row);
    c->revision = kind == KIND_GROUP ? row->group.revision : row->enrollment.revision;
    return ERR_OK;
}

static enum err put_add(struct manager_worker *w, struct manager_exchange *x,
                        struct manager_work *work, struct draft *draft, const struct regid *id,
                        const json_t *body, struct condition c)
{
    struct row row;
    bool present = false;
    TRY(settle(w, work->target.kind, id, &c, &row, &present));
    struct store_change *change = change_add(w, x, work, draft, id, false, &c);
    TRY(model_read(w, x, body, work->target.kind, present ? &row : NULL, draft));
    change->profile = draft->has_profile ? &draft->profile : NULL;
    change->credential = span_of(draft->credential, draft->credential_len);
    work->change_count++;
    return ERR_OK;
}

static const char *id_name(enum kind kind)
{
    return kind == KIND_GROUP ? "enrollmentGroupId" : NAME_REGISTRATION_ID;
}

/* The path is what counts; a body that names an id must name the same one. */
static enum err check_same_id(struct manager_exchange *x, const struct target *t,
                              const json_t *body)
{
    const json_t *text = json_object_get(body, id_name(t->kind));
    struct regid named;
    if (text == NULL || json_is_null(text))
        return ERR_OK;
    if (!json_is_string(text) || regid_read(json_span(text), &named) != ERR_OK ||
        !span_equal(regid_span(&named), regid_span(&t->id)))
        return refuse(x, ERR_REG_ID, "%s is not the id of the path", id_name(t->kind));
    return ERR_OK;
}

static enum err put(struct manager_worker *w, struct manager_exchange *x, const struct target *t)
{
    struct condition c;
    JSON *body = NULL;
    TRY(etag_read(x->request.if_match, &c));
    TRY(body_read(x, false, &body));
    TRY(check_same_id(x, t, body));
    x->work = work_open(t, 1);
    if (x->work == NULL)
        return ERR_MEMORY;
    return put_add(w, x, x->work, &x->work->drafts[0], &t->id, body, c);
}

/* ---- deleting ---- */
static enum err registration_condition(struct manager_worker *w, const struct manager_exchange *x,
                                       const struct target *t, struct condition *ret_condition)
{
    struct store_registration row;
    struct span tag = x->request.if_match;
    if (tag.len >= 2 && tag.at[0] == '"' && tag.at[tag.len - 1] == '"')
        tag = span_slice(tag, 1, tag.len - 2);
    *ret_condition = (struct condition){.match = STORE_MATCH_ANY};
    if (tag.len == 0 || span_equal(tag, SPAN_LITERAL("*")))
        return ERR_OK;
    enum err e = store_registration_find(w->reader, &t->id, &row);
    TRY(e == ERR_ABSENT ? ERR_NOT_ENROLLED : e);
    if (row.deleted)
        return ERR_NOT_ENROLLED;
    return span_equal(tag, span_text(row.etag)) ? ERR_OK : ERR_ETAG;
}

static enum err delete(struct manager_worker *w, struct manager_exchange *x, const struct target *t)
{
    struct condition c;
    if (t->kind == KIND_REGISTRATION)
        TRY(registration_condition(w, x, t, &c));
    else
        TRY(etag_read(x->request.if_match, &c));
    if (c.match == STORE_MATCH_ABSENT) /* no If-Match */
        c.match = STORE_MATCH_ANY;
    x->work = work_open(t, 1);
    if (x->work == NULL)
        return ERR_MEMORY;
    (void)change_add(w, x, x->work, &x->work->drafts[0], &t->id, true, &c);
    x->work->change_count = 1;
    return ERR_OK;
}

/* ---- bulk ---- */
enum mode { MODE_CREATE, MODE_UPDATE, MODE_UPDATE_IF_MATCH, MODE_DELETE };

static enum err mode_read(struct manager_exchange *x, const json_t *body, enum mode *ret_mode)
{
    static const char *const modes[] = {"create", "update", "updateIfMatchETag", "delete"};
    const json_t *text = json_object_get(body, "mode");
    for (int i = 0; json_is_string(text) && i < 4; i++)
        if (span_equal_ignoring_case(json_span(text), span_text(modes[i]))) {
            *ret_mode = (enum mode)i;
            return ERR_OK;
        }
    return refuse(x, ERR_INVALID_ARGUMENT,
                  "mode must be one of create, update, updateIfMatchETag, delete");
}

static enum err bulk_condition(struct manager_exchange *x, const json_t *entry, enum mode mode,
                               struct condition *ret_condition)
{
    const json_t *tag = json_object_get(entry, NAME_ETAG);
    struct span text = json_is_string(tag) ? json_span(tag) : span_of("", 0);
    if (mode == MODE_CREATE)
        text = span_of("", 0);
    if (mode == MODE_UPDATE_IF_MATCH && text.len == 0)
        return refuse(x, ERR_INVALID_ARGUMENT, "etag is missing");
    TRY(etag_read(text, ret_condition));
    if (mode == MODE_DELETE && ret_condition->match == STORE_MATCH_ABSENT)
        ret_condition->match = STORE_MATCH_ANY;
    return ERR_OK;
}

static enum err bulk_entry(struct manager_worker *w, struct manager_exchange *x,
                           const json_t *entry, enum mode mode, struct draft *draft)
{
    const json_t *name = json_object_get(entry, id_name(x->work->target.kind));
    struct condition c;
    struct regid id;
    if (json_is_string(name))
        (void)!span_to_text(span_slice(json_span(name), 0, REGID_MAX), draft->name,
                            sizeof draft->name);
    if (!json_is_string(name) || regid_read(json_span(name), &id) != ERR_OK)
        return refuse(x, ERR_REG_ID, "%s is missing or not valid", id_name(x->work->target.kind));
    TRY(bulk_condition(x, entry, mode, &c));
    if (mode != MODE_DELETE)
        return put_add(w, x, x->work, draft, &id, entry, c);
    (void)change_add(w, x, x->work, draft, &id, true, &c);
    x->work->change_count++;
    return ERR_OK;
}

/* A bad row does not hold up its neighbours. */
static void bulk_add(struct manager_worker *w, struct manager_exchange *x, const json_t *entry,
                     enum mode mode, struct draft *draft)
{
    draft->refused = bulk_entry(w, x, entry, mode, draft);
    if (draft->refused == ERR_OK)
        return;
    draft->change = NULL;
    memcpy(draft->message, x->message, sizeof draft->message);
    x->message[0] = 0;
}

static enum err bulk(struct manager_worker *w, struct manager_exchange *x, const struct target *t)
{
    const char *list_name = t->kind == KIND_GROUP ? "enrollmentGroups" : "enrollments";
    enum mode mode = MODE_CREATE;
    JSON *body = NULL;
    TRY(body_read(x, false, &body));
    TRY(mode_read(x, body, &mode));
    const json_t *list = json_object_get(body, list_name);
    if (!json_is_array(list))
        return refuse(x, ERR_INVALID_ARGUMENT, "%s must be an array", list_name);
    if (json_array_size(list) > BULK_MAX)
        return refuse(x, ERR_INVALID_ARGUMENT, "%s: at most %d at once", list_name, BULK_MAX);
    x->work = work_open(t, json_array_size(list));
    if (x->work == NULL)
        return ERR_MEMORY;
    for (size_t i = 0; i < x->work->count; i++)
        bulk_add(w, x, json_array_get(list, i), mode, &x->work->drafts[i]);
    return ERR_OK;
}

/* ---- outcomes ---- */
static int32_t code_of(enum kind kind, enum err e)
{
    if (e == ERR_DUPLICATE && kind == KIND_GROUP)
        return 409202;
    if (e == ERR_ABSENT)
        return err_code(ERR_NOT_ENROLLED);
    return err_code(e);
}

static const char *text_of(enum kind kind, enum err e, enum store_taken taken)
{
    if (e == ERR_DUPLICATE && taken == STORE_TAKEN_KEY)
        return "Another enrollment has this endorsement key.";
    if (e == ERR_DUPLICATE && taken == STORE_TAKEN_DEVICE)
        return "Another enrollment has this device id.";
    if (e == ERR_DUPLICATE)
        return kind == KIND_GROUP ? "Enrollment group already exists." : "Enrollment already exists.";
    return err_text(e == ERR_ABSENT ? ERR_NOT_ENROLLED : e);
}

static enum err bulk_error(const struct manager_work *work, const struct draft *d, json_t *errors)
{
    enum kind kind = work->target.kind;
    enum err e = d->refused != ERR_OK ? d->refused : d->change->outcome;
    const char *text = d->message[0] != 0 ? d->message
                       : d->change == NULL ? text_of(kind, e, STORE_TAKEN_NOTHING)
                                           : text_of(kind, e, d->change->taken);
    json_t *id = json_string(d->name);
    if (id == NULL) /* not UTF-8, or no memory */
        id = json_string("");
    json_t *j = json_pack("{s:o,s:i,s:s}", id_name(kind), id, NAME_ERROR_CODE,
                          (int)code_of(kind, e), "errorStatus", text);
    return json_array_append_new(errors, j) == 0 ? ERR_OK : ERR_MEMORY;
}

static enum err bulk_answer(struct manager_exchange *x)
{
    JSON *errors = json_array(), *j = NULL;
    for (size_t i = 0; i < x->work->count; i++) {
        const struct draft *d = &x->work->drafts[i];
        if (d->refused != ERR_OK || d->change->outcome != ERR_OK)
            TRY(bulk_error(x->work, d, errors));
    }
    j = json_pack("{s:b,s:O}", "isSuccessful", json_array_size(errors) == 0, "errors", errors);
    return j == NULL ? ERR_MEMORY : respond_json(x, j);
}

static enum err put_answer(struct manager_worker *w, struct manager_exchange *x)
{
    const struct draft *d = &x->work->drafts[0];
    static const struct store_profile none = {.document = ""};
    struct row row = {.kind = x->work->target.kind};
    JSON *j = NULL;
    if (row.kind == KIND_GROUP)
        row.group = d->change->group;
    else
        row.enrollment = d->change->enrollment;
    TRY(model_write(w, &row, d->has_profile ? &d->profile : &none, d->attestation, &j));
    return respond_json(x, j);
}

/* ---- from outside ---- */
static void wake(struct store_waiter *waiter, enum err outcome)
{
    struct manager_exchange *x = (struct manager_exchange *)(void *)((char *)waiter -
                                     offsetof(struct manager_exchange, waiter));
    x->outcome = outcome;
    x->wake(x);
}

static enum err prepare(struct manager_worker *w, struct manager_exchange *x,
                        const struct target *t)
{
    switch (t->operation) {
    case OP_PUT:
        return put(w, x, t);
    case OP_DELETE:
        return delete(w, x, t);
    default:
        return bulk(w, x, t);
    }
}

static void give_up(struct manager_exchange *x)
{
    work_close(x->work);
    x->work = NULL;
}

enum err write_begin(struct manager_worker *w, struct manager_exchange *x, const struct target *t,
                     bool *ret_waits)
{
    enum err e = prepare(w, x, t);
    if (e == ERR_OK && x->work->change_count == 0) {
        e = bulk_answer(x);
        give_up(x);
        return e;
    }
    x->waiter.done = wake;
    if (e == ERR_OK)
        e = store_change_apply(w->manager->store, x->work->changes, x->work->change_count,
                               &x->waiter);
    if (e != ERR_OK) {
        give_up(x);
        return e;
    }
    *ret_waits = true;
    return ERR_OK;
}

enum err write_finish(struct manager_worker *w, struct manager_exchange *x)
{
    enum kind kind = x->work->target.kind;
    TRY(x->outcome);
    if (x->work->target.operation == OP_BULK)
        return bulk_answer(x);
    enum err e = x->work->changes[0].outcome;
    if (e != ERR_OK) {
        x->code = code_of(kind, e);
        return refuse(x, e, "%s", text_of(kind, e, x->work->changes[0].taken));
    }
    if (x->work->target.operation == OP_PUT)
        return put_answer(w, x);
    respond_empty(x);
    return ERR_OK;
}
