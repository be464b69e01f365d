#include "inner.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <wire/sas.h>

static enum err pending_key(const struct secret *root, struct secret *ret_key)
{
    uint8_t key[SAS_SIGNATURE_LEN];
    TRY(sas_sign(secret_span(root), SPAN_LITERAL("pending"), key));
    enum err e = secret_set(ret_key, SPAN_ARRAY(key));
    bytes_wipe(key, sizeof key);
    return e;
}

enum err registrar_open(const struct registrar_config *config, struct store *store,
                        struct registrar **ret_registrar, struct store_reason *ret_reason)
{
    SECRET key = {.len = 0};
    struct pending *pending = NULL;
    ERR_ASSERT(config->hub_count <= REGISTRAR_HUBS_MAX && config->now_s != NULL);
    json_object_seed(0); /* before there are threads */
    TRY(pending_key(&config->nonce_root, &key));
    TRY(pending_open(config->pending_file, secret_span(&key), &pending, ret_reason));
    struct registrar *r = calloc(1, sizeof *r);
    if (r == NULL) {
        pending_close(pending);
        return ERR_MEMORY;
    }
    r->config = *config;
    r->config.pending_file = NULL;
    r->store = store;
    r->pending = pending;
    *ret_registrar = r;
    return ERR_OK;
}

void registrar_close(struct registrar *r)
{
    if (r == NULL)
        return;
    pending_close(r->pending);
    secret_wipe(&r->config.nonce_root);
    secret_wipe(&r->config.hub_root);
    secret_wipe(&r->config.seal_key);
    free(r);
}

enum err registrar_worker_open(struct registrar *r, struct registrar_worker **ret_worker)
{
    struct registrar_worker *w = calloc(1, sizeof *w);
    if (w == NULL)
        return ERR_MEMORY;
    w->registrar = r;
    enum err e = attest_open(&w->attest);
    if (e == ERR_OK)
        e = store_reader_open(r->store, &w->reader);
    if (e != ERR_OK) {
        registrar_worker_close(w);
        return e;
    }
    *ret_worker = w;
    return ERR_OK;
}

void registrar_worker_close(struct registrar_worker *w)
{
    if (w == NULL)
        return;
    store_reader_close(w->reader);
    attest_close(w->attest);
    free(w);
}

int64_t registrar_now(const struct registrar_worker *w)
{
    return w->registrar->config.now_s(w->registrar->config.arg);
}

static enum err assign(struct registrar_worker *w, struct registrar_exchange *x,
                       const struct regid *id, const struct device_keys *keys)
{
    struct sas_token token;
    TRY(proof_read_token(w, x, id, &token));
    if (keys->given)
        return assign_begin(w, x, id, keys, &token);
    enum err e = keyed_begin(w, x, &token, id);
    return e == ERR_ABSENT ? assign_begin(w, x, id, keys, &token) : e;
}

/* ret_waits: the commit is queued, and the answer with it. */
static enum err serve(struct registrar_worker *w, struct registrar_exchange *x, bool *ret_waits)
{
    struct target target;
    struct device_keys keys = {.given = false};
    TRY(answer_guid(w, x->answer.request_id));
    TRY(request_read_target(&x->request, span_text(w->registrar->config.id_scope), &target));
    x->id = target.id;
    if (target.resource == RESOURCE_OPERATION)
        return operation_poll(w, x, &target);
    TRY(request_read_body(x->request.body, &target.id, &keys));
    if (target.resource == RESOURCE_REGISTRATION)
        return registration_look_up(w, x, &target.id);
    if (x->request.authorization.len == 0)
        return challenge_give(w, x, &target.id, &keys);
    TRY(assign(w, x, &target.id, &keys));
    *ret_waits = true;
    return ERR_OK;
}

bool registrar_begin(struct registrar_worker *w, struct registrar_exchange *x)
{
    bool waits = false;
    x->event = "request";
    enum err e = serve(w, x, &waits);
    if (waits) /* x may be on its way already: not to be touched */
        return false;
    if (e != ERR_OK)
        answer_error(w, x, e);
    ERR_ASSERT(!x->answer.body->full);
    log_exchange(w, x, e);
    return true;
}

void registrar_finish(struct registrar_worker *w, struct registrar_exchange *x)
{
    assign_finish(w, x);
}

void registrar_refuse(struct registrar_worker *w, struct registrar_exchange *x, enum err why)
{
    x->event = "refusal";
    if (answer_guid(w, x->answer.request_id) != ERR_OK)
        x->answer.request_id[0] = '\0';
    answer_error(w, x, why);
    log_exchange(w, x, why);
}
