#include "inner.h"

#include <malloc.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Keys travel through JSON values: none is left in freed memory. */
static void wiping_free(void *at)
{
    if (at != NULL)
        bytes_wipe(at, malloc_usable_size(at));
    free(at);
}

enum err manager_open(const struct manager_config *config, struct store *store,
                      struct manager **ret_manager)
{
    ERR_ASSERT(config->now_s != NULL && config->seal_key.len == ATTEST_KEY_LEN);
    struct manager *m = calloc(1, sizeof *m);
    if (m == NULL)
        return ERR_MEMORY;
    json_set_alloc_funcs(malloc, wiping_free);
    m->config = *config;
    m->store = store;
    *ret_manager = m;
    return ERR_OK;
}

void manager_close(struct manager *m)
{
    if (m == NULL)
        return;
    secret_wipe(&m->config.policy_root);
    secret_wipe(&m->config.seal_key);
    free(m);
}

enum err manager_worker_open(struct manager *m, struct manager_worker **ret_worker)
{
    struct manager_worker *w = calloc(1, sizeof *w);
    if (w == NULL)
        return ERR_MEMORY;
    w->manager = m;
    enum err e = attest_open(&w->attest);
    if (e == ERR_OK)
        e = store_reader_open(m->store, &w->reader);
    if (e != ERR_OK) {
        manager_worker_close(w);
        return e;
    }
    *ret_worker = w;
    return ERR_OK;
}

void manager_worker_close(struct manager_worker *w)
{
    if (w == NULL)
        return;
    store_reader_close(w->reader);
    attest_close(w->attest);
    free(w);
}

int64_t manager_now(const struct manager_worker *w)
{
    return w->manager->config.now_s(w->manager->config.arg);
}

/* ---- refusing ---- */
enum err refuse(struct manager_exchange *x, enum err why, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    (void)vsnprintf(x->message, sizeof x->message, format, args);
    va_end(args);
    return why;
}

struct shown show(struct span foreign)
{
    struct shown s;
    size_t len = 0;
    for (; len < foreign.len && len + 1 < sizeof s.text; len++) {
        uint8_t c = foreign.at[len];
        s.text[len] = c >= 0x20 && c < 0x7f && c != '"' && c != '\\' ? (char)c : '?';
    }
    s.text[len] = 0;
    return s;
}

/* ---- one request ---- */
static enum err get(struct manager_worker *w, struct manager_exchange *x, const struct target *t)
{
    if (t->kind == KIND_REGISTRATION) {
        struct store_registration row;
        enum err e = store_registration_find(w->reader, &t->id, &row);
        JSON *json = NULL;
        if (e == ERR_ABSENT || (e == ERR_OK && row.deleted))
            return ERR_NOT_ENROLLED;
        TRY(e);
        TRY(registration_write(&row, &json));
        return respond_json(x, json);
    }
    struct row row;
    struct store_profile profile;
    JSON *json = NULL;
    TRY(model_find(w, t->kind, &t->id, &row));
    TRY(model_profile(w, &row, &profile));
    TRY(model_write(w, &row, &profile, NULL, &json));
    if (t->kind == KIND_ENROLLMENT)
        TRY(registration_attach(w, &row.enrollment.id, json));
    return respond_json(x, json);
}

static enum err mechanism(struct manager_worker *w, struct manager_exchange *x,
                          const struct target *t)
{
    struct row row;
    JSON *json = NULL;
    TRY(model_find(w, t->kind, &t->id, &row));
    TRY(mechanism_write(w, &row, true, &json));
    return respond_json(x, json);
}

static enum err serve(struct manager_worker *w, struct manager_exchange *x, bool *ret_waits)
{
    struct target t;
    TRY(respond_guid(w, x->answer.request_id));
    TRY(target_read(x, &t));
    TRY(access_check(w, x, &t));
    switch (t.operation) {
    case OP_GET:
        return get(w, x, &t);
    case OP_QUERY:
        return page_answer(w, x, &t);
    case OP_MECHANISM:
        return mechanism(w, x, &t);
    default:
        return write_begin(w, x, &t, ret_waits);
    }
}

static void complete(struct manager_worker *w, struct manager_exchange *x, enum err e)
{
    if (e != ERR_OK)
        respond_error(w, x, e);
    ERR_ASSERT(!x->answer.body->full);
    respond_log(w, x, e);
}

bool manager_begin(struct manager_worker *w, struct manager_exchange *x)
{
    bool waits = false;
    enum err e = serve(w, x, &waits);
    if (waits) /* x may be on its way already: not to be touched */
        return false;
    if (e != ERR_OK)
        respond_audit(w, x, e);
    complete(w, x, e);
    return true;
}

void manager_finish(struct manager_worker *w, struct manager_exchange *x)
{
    complete(w, x, write_finish(w, x));
    work_close(x->work);
    x->work = NULL;
}
