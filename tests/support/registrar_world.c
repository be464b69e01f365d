#include "registrar_world.h"
#include "store_rows.h"

#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <wire/text.h>

static void must(enum err e, const char *what)
{
    if (e == ERR_OK)
        return;
    fprintf(stderr, "world: %s: %s\n", what, err_name(e));
    abort();
}

/* ---- the world ---- */
static int64_t now_of(void *arg) { return ((struct world *)arg)->now_s; }

static void log_of(void *arg, const char *line)
{
    struct world *w = arg;
    int n = snprintf(w->log + w->log_len, sizeof w->log - w->log_len, "%s\n", line);
    if (n > 0 && w->log_len + (size_t)n < sizeof w->log)
        w->log_len += (size_t)n;
    snprintf(w->last_line, sizeof w->last_line, "%s", line);
}

void world_log_clear(struct world *w)
{
    w->log_len = 0;
    w->log[0] = w->last_line[0] = '\0';
}

void world_start(struct world *w)
{
    char pending[300];
    snprintf(pending, sizeof pending, "%s/pending", w->dir);
    w->config.pending_file = pending;
    must(store_open(w->dir, STORE_SERVE, &w->store, NULL), "store");
    must(registrar_open(&w->config, w->store, &w->registrar, NULL), "registrar");
    must(registrar_worker_open(w->registrar, &w->worker), "worker");
}

void world_stop(struct world *w)
{
    registrar_worker_close(w->worker);
    registrar_close(w->registrar);
    store_close(w->store);
    w->worker = NULL;
    w->registrar = NULL;
    w->store = NULL;
}

void world_restart(struct world *w)
{
    world_stop(w);
    world_start(w);
}

void world_open(struct world *w)
{
    static const char *const hubs[] = {"one", "two"};
    uint8_t root[32];
    memset(w, 0, sizeof *w);
    rows_directory_make(w->dir, sizeof w->dir);
    rows_create(w->dir, 0);
    w->now_s = 1800000000;
    w->config.now_s = now_of;
    w->config.log = log_of;
    w->config.arg = w;
    snprintf(w->config.id_scope, sizeof w->config.id_scope, WORLD_SCOPE);
    for (int i = 0; i < 2; i++) {
        snprintf(w->config.hubs[i].name, sizeof w->config.hubs[i].name, "%s", hubs[i]);
        snprintf(w->config.hubs[i].host, sizeof w->config.hubs[i].host, "%s.hub.test", hubs[i]);
    }
    w->config.hub_count = 2;
    memset(root, 0x11, sizeof root);
    must(secret_set(&w->config.nonce_root, SPAN_ARRAY(root)), "root");
    memset(root, 0x22, sizeof root);
    must(secret_set(&w->config.hub_root, SPAN_ARRAY(root)), "root");
    memset(root, 0x33, sizeof root);
    must(secret_set(&w->config.seal_key, SPAN_ARRAY(root)), "seal key");
    world_start(w);
}

void world_close(struct world *w)
{
    world_stop(w);
    rows_directory_remove(w->dir);
}

/* ---- enrollments ---- */
static struct regid id_of(const char *text)
{
    struct regid id;
    must(regid_read(span_text(text), &id), text);
    return id;
}

static struct store_enrollment row_of(const struct world *w, const char *id,
                                      const struct softdevice *d)
{
    const struct tpm_public *ek = softdevice_ek(d);
    struct store_enrollment row = {.id = id_of(id), .device_id = id_of(id), .enabled = true};
    memcpy(row.ek, ek->raw, row.ek_len = ek->raw_len);
    must(tpm_public_key_hash(ek, row.ek_hash), "key hash");
    row.created_s = row.updated_s = w->now_s;
    return row;
}

void world_enroll(struct world *w, const char *id, const struct softdevice *d, unsigned flags)
{
    const struct tpm_public *srk = softdevice_srk(d);
    struct store_enrollment row = row_of(w, id, d);
    if (flags & (WORLD_PIN | WORLD_SRK))
        memcpy(row.srk, srk->raw, row.srk_len = srk->raw_len);
    row.pin_srk = flags & WORLD_PIN;
    rows_enroll(w->dir, &row);
    if (flags & WORLD_DISABLED)
        world_set_enabled(w, id, false);
}

void world_enroll_profile(struct world *w, const char *id, const struct softdevice *d,
                          const struct store_profile *profile)
{
    struct store_enrollment row = row_of(w, id, d);
    struct store *s = NULL;
    struct store_batch *b = NULL;
    must(store_open(w->dir, STORE_IMPORT, &s, NULL), "import");
    must(store_batch_begin(s, &b), "batch");
    must(store_batch_profile(b, profile, &row.profile), "profile");
    must(store_batch_replace(b, &row), "enrollment");
    must(store_batch_commit(b), "commit");
    store_close(s);
}

void world_set_enabled(struct world *w, const char *id, bool enabled)
{
    struct store *s = NULL;
    struct regid which = id_of(id);
    must(store_open(w->dir, STORE_IMPORT, &s, NULL), "import");
    must(store_enrollment_set_enabled(s, &which, enabled, w->now_s), "enable");
    store_close(s);
}

/* ---- requests ---- */
struct flight {
    struct registrar_exchange x; /* first: wake gets it back */
    sem_t done;
    bool waits;
    char body[8192];
    struct buf out;
};

static void wake(struct registrar_exchange *x) { sem_post(&((struct flight *)x)->done); }

struct flight *world_begin(struct world *w, const struct call *c)
{
    struct flight *f = calloc(1, sizeof *f);
    if (f == NULL)
        abort();
    sem_init(&f->done, 0, 0);
    f->out = BUF_OVER(f->body);
    f->x.wake = wake;
    f->x.answer.body = &f->out;
    f->x.request = (struct registrar_request){
        .method = span_text(c->method),
        .path = span_text(c->path),
        .authorization = span_text(c->token),
        .content_type = span_text(c->content_type),
        .user_agent = span_text(c->agent),
        .body = c->body,
        .peer = c->peer == NULL ? "192.0.2.1" : c->peer,
    };
    f->waits = !registrar_begin(w->worker, &f->x);
    return f;
}

void world_finish(struct world *w, struct flight *f, struct answer *ret_answer)
{
    const struct registrar_answer *a = &f->x.answer;
    if (f->waits) {
        sem_wait(&f->done);
        registrar_finish(w->worker, &f->x);
    }
    memset(ret_answer, 0, sizeof *ret_answer);
    ret_answer->status = a->status;
    ret_answer->retry_after_s = a->retry_after_s;
    ret_answer->expects_answer = a->expects_answer;
    snprintf(ret_answer->location, sizeof ret_answer->location, "%s", a->location);
    snprintf(ret_answer->request_id, sizeof ret_answer->request_id, "%s", a->request_id);
    memcpy(ret_answer->body, f->out.at, f->out.len);
    ret_answer->body_len = f->out.len;
    ret_answer->json = json_loadb(ret_answer->body, f->out.len, JSON_REJECT_DUPLICATES, NULL);
    if (ret_answer->json == NULL)
        must(ERR_PROTOCOL, ret_answer->body);
    ret_answer->code =
        (int32_t)json_integer_value(json_object_get(ret_answer->json, "errorCode"));
    if (ret_answer->code != a->error_code)
        must(ERR_PROTOCOL, "the header and the body tell different codes");
    sem_destroy(&f->done);
    free(f);
}

void world_call(struct world *w, const struct call *c, struct answer *ret_answer)
{
    world_finish(w, world_begin(w, c), ret_answer);
}

void answer_free(struct answer *a)
{
    json_decref(a->json);
    a->json = NULL;
}

static const char *text_of(const json_t *object, const char *name)
{
    const char *text = json_string_value(json_object_get(object, name));
    return text == NULL ? "" : text;
}

const char *answer_text(const struct answer *a, const char *name) { return text_of(a->json, name); }

const char *answer_state(const struct answer *a, const char *name)
{
    return text_of(json_object_get(a->json, "registrationState"), name);
}

const char *answer_key(const struct answer *a)
{
    const json_t *state = json_object_get(a->json, "registrationState");
    return state == NULL ? text_of(a->json, "authenticationKey")
                         : text_of(json_object_get(state, "tpm"), "authenticationKey");
}

/* ---- a device's steps ---- */
void world_path(char ret_path[512], const char *id, const char *tail)
{
    snprintf(ret_path, 512, "/" WORLD_SCOPE "/registrations/%s%s", id, tail);
}

void world_token(const struct world *w, const struct secret *key, const char *id, int64_t expires_in,
                 char ret_token[1024])
{
    char resource[256];
    struct buf b = buf_over(ret_token, 1024);
    snprintf(resource, sizeof resource, WORLD_SCOPE "/registrations/%s", id);
    must(softdevice_put_token(key, resource, w->now_s + expires_in, &b), "token");
    must(buf_end_text(&b), "token");
}

static void register_with(struct world *w, const char *id, const struct softdevice *d,
                          bool with_keys, const char *token, const char *peer,
                          struct answer *ret_answer)
{
    char path[512], body[2048];
    struct buf b = BUF_OVER(body);
    world_path(path, id, "/register");
    softdevice_put_body(d, id, with_keys, &b);
    const struct call c = {.method = "PUT", .path = path, .token = token, .peer = peer,
                           .content_type = "application/json; charset=utf-8",
                           .body = buf_span(&b)};
    world_call(w, &c, ret_answer);
}

void world_challenge(struct world *w, const char *id, struct softdevice *d, const char *peer,
                     struct answer *ret_answer)
{
    register_with(w, id, d, true, NULL, peer, ret_answer);
}

void world_challenge_key(struct world *w, const char *id, struct softdevice *d, const char *peer,
                         struct secret *ret_key)
{
    ANSWER a;
    world_challenge(w, id, d, peer, &a);
    must(softdevice_activate_base64(d, span_text(answer_key(&a)), ret_key), "activation");
}

void world_answer(struct world *w, const char *id, struct softdevice *d, bool with_keys,
                  const struct secret *key, struct answer *ret_answer)
{
    char token[1024];
    world_token(w, key, id, 3600, token);
    register_with(w, id, d, with_keys, token, NULL, ret_answer);
}

void world_provision(struct world *w, const char *id, struct softdevice *d,
                     struct answer *ret_answer, struct secret *ret_key)
{
    SECRET nonce = {.len = 0};
    world_challenge_key(w, id, d, NULL, &nonce);
    world_answer(w, id, d, true, &nonce, ret_answer);
    if (ret_answer->status == 202)
        must(softdevice_activate_base64(d, span_text(answer_key(ret_answer)), ret_key),
             "activation of the hub key");
}
