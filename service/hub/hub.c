#include "hub.h"

#include "backend.h"

#include <attest.h>
#include <credential.h>
#include <store.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <wire/sas.h>
#include <wire/text.h>

struct settings {
    struct config config;
    char host[STORE_HOST_CAP];
    struct secret root;
};

struct hub {
    char name[64];
    struct settings settings;
    struct store *store;
    struct store_reader *reader;
    struct sessions sessions;
    struct backend backend;
    uint64_t spent[HUB_SPENT_MARKS]; /* token marks, each in the one place it can have */
    uint64_t version;   /* of the databases when the last round began */
    bool again;         /* the last round could not look at everything */
    uint32_t unvisited; /* rows below this one are still to be looked at in this round */
    uint32_t slice;     /* so many a tick */
    int64_t tick_ms, round_ms;
};

const char *hub_verdict_text(enum hub_verdict v)
{
    static const char *const texts[] = {
#define HUB_VERDICT(name, text) [HUB_##name] = text,
        HUB_VERDICTS(HUB_VERDICT)
#undef HUB_VERDICT
    };
    return (size_t)v < sizeof texts / sizeof *texts ? texts[v] : texts[HUB_TROUBLE];
}

/* ---- opening ---- */
static void settings_wipe(struct settings *s)
{
    bytes_wipe(s, sizeof *s);
}

static const struct config_hub *hub_named(const struct config *c, const char *name)
{
    for (int i = 0; i < c->hub_count; i++)
        if (strcmp(c->hubs[i].name, name) == 0)
            return &c->hubs[i];
    return NULL;
}

static enum err settings_read(const char *data_dir, const char *hub_name,
                              struct settings *ret_settings, struct config_reason *ret_reason)
{
    __attribute__((cleanup(settings_wipe))) struct settings s = {0};
    TRY(config_read(data_dir, &s.config, ret_reason));
    const struct config_hub *mine = hub_named(&s.config, hub_name);
    if (mine == NULL) {
        snprintf(ret_reason->text, sizeof ret_reason->text, "no hub '%s' in the configuration",
                 hub_name);
        return ERR_CONFIG;
    }
    TRY(span_to_text(span_text(mine->host), s.host, sizeof s.host));
    TRY(config_secret_read(&s.config, "hub", &s.root, ret_reason));
    *ret_settings = s;
    return ERR_OK;
}

static enum err store_begin(struct hub *h, struct config_reason *ret_reason)
{
    struct store_reason why = {{0}};
    enum err e = store_open(h->settings.config.data_dir, STORE_READ, &h->store, &why);
    if (e == ERR_OK)
        e = store_reader_open(h->store, &h->reader);
    if (e != ERR_OK)
        snprintf(ret_reason->text, sizeof ret_reason->text, "%s",
                 why.text[0] != '\0' ? why.text : err_text(e));
    return e;
}

static enum err fill(struct hub *h, const char *data_dir, const char *hub_name,
                     struct config_reason *ret_reason)
{
    sessions_open(&h->sessions);
    TRY(span_to_text(span_text(hub_name), h->name, sizeof h->name));
    TRY(settings_read(data_dir, hub_name, &h->settings, ret_reason));
    TRY(backend_open(&h->backend));
    TRY(store_begin(h, ret_reason));
    return store_reader_version(h->reader, &h->version);
}

enum err hub_open(const char *data_dir, const char *hub_name, struct hub **ret_hub,
                  struct config_reason *ret_reason)
{
    struct hub *h = calloc(1, sizeof *h);
    if (h == NULL)
        return ERR_MEMORY;
    enum err e = fill(h, data_dir, hub_name, ret_reason);
    if (e != ERR_OK) {
        hub_close(h);
        return e;
    }
    *ret_hub = h;
    return ERR_OK;
}

void hub_close(struct hub *h)
{
    if (h == NULL)
        return;
    store_reader_close(h->reader);
    store_close(h->store);
    sessions_close(&h->sessions);
    bytes_wipe(h, sizeof *h);
    free(h);
}

enum err hub_reload(struct hub *h, struct config_reason *ret_reason)
{
    __attribute__((cleanup(settings_wipe))) struct settings fresh = {0};
    TRY(settings_read(h->settings.config.data_dir, h->name, &fresh, ret_reason));
    h->settings = fresh;
    backend_forget(&h->backend);
    h->again = true;
    return ERR_OK;
}

const char *hub_host(const struct hub *h)
{
    return h->settings.host;
}

/* ---- letting in ---- */
static bool is_backend(const struct hub *h, struct span username)
{
    struct span user = span_text(h->settings.config.backend_user);
    return user.len > 0 && span_equal(username, user);
}

static enum hub_verdict backend_verdict(struct hub *h, const struct hub_connect *c)
{
    switch (backend_check(&h->backend, h->settings.config.backend_password, c->password, c->address,
                          c->mono_ms)) {
    case ERR_OK:
        return HUB_WELCOME;
    case ERR_UNAUTHORIZED:
        return HUB_PASSWORD;
    case ERR_THROTTLED:
        return HUB_THROTTLED;
    default:
        return HUB_TROUBLE;
    }
}

static enum hub_verdict name_verdict(const struct hub *h, const struct hub_connect *c,
                                     struct regid *ret_id)
{
    struct hub_username name;
    if (hub_username_read(c->username, &name) != ERR_OK)
        return HUB_USERNAME;
    if (name.host.len > 0 && !span_equal_ignoring_case(name.host, span_text(h->settings.host)))
        return HUB_OTHER_HUB;
    if (hub_client_id_read(c->client_id, ret_id) != ERR_OK ||
        !span_equal(regid_span(ret_id), regid_span(&name.device_id)))
        return HUB_CLIENT_ID;
    return HUB_WELCOME;
}

/* The C# client escapes the id once more inside what it escapes as a whole. */
static bool is_audience(const struct hub *h, const struct sas_token *token, const struct regid *id)
{
    uint8_t plain_bytes[SAS_TOKEN_CAP], escaped_bytes[SAS_TOKEN_CAP];
    struct buf plain = BUF_OVER(plain_bytes), escaped = BUF_OVER(escaped_bytes);
    buf_put_text(&plain, h->settings.host);
    buf_put_text(&plain, "/devices/");
    buf_put(&escaped, buf_span(&plain));
    buf_put(&plain, regid_span(id));
    percent_write(&escaped, regid_span(id));
    return sas_token_check_resource(token, buf_span(&plain)) == ERR_OK ||
           sas_token_check_resource(token, buf_span(&escaped)) == ERR_OK;
}

static enum hub_verdict token_verdict(const struct hub *h, const struct hub_connect *c,
                                      const struct regid *id, struct sas_token *ret_token)
{
    if (sas_token_read(c->password, ret_token) != ERR_OK)
        return HUB_TOKEN;
    if (!is_audience(h, ret_token, id))
        return HUB_AUDIENCE;
    if (sas_token_check_expiry(ret_token, c->wall_s) != ERR_OK)
        return HUB_EXPIRED;
    return HUB_WELCOME;
}

struct device {
    bool found;
    struct store_registration registration;
    struct store_enrollment enrollment;
};

/* A member of a group has no enrollment of its own: the group stands for it. */
static enum err member_find(const struct hub *h, const struct regid *id, struct device *d)
{
    struct store_group group;
    TRY(store_registration_find(h->reader, id, &d->registration));
    if (d->registration.deleted || d->registration.group.text[0] == '\0')
        return ERR_ABSENT;
    TRY(store_group_find(h->reader, &d->registration.group, &group));
    d->enrollment.attestation = group.attestation;
    d->enrollment.enabled = group.enabled;
    return ERR_OK;
}

static enum err device_find(const struct hub *h, const struct regid *id, struct device *ret_device)
{
    *ret_device = (struct device){0};
    enum err e = store_device_find(h->reader, id, &ret_device->registration,
                                   &ret_device->enrollment);
    if (e == ERR_ABSENT)
        e = member_find(h, id, ret_device);
    if (e == ERR_ABSENT)
        *ret_device = (struct device){0};
    ret_device->found = e == ERR_OK;
    return e == ERR_ABSENT ? ERR_OK : e;
}

static enum hub_verdict device_verdict(const struct hub *h, const struct device *d)
{
    if (!d->found || d->registration.generation == 0)
        return HUB_UNKNOWN;
    if (!d->enrollment.enabled)
        return HUB_DISABLED;
    if (!span_equal(SPAN_ARRAY(d->registration.ek_hash), SPAN_ARRAY(d->enrollment.ek_hash)))
        return HUB_OTHER_KEY;
    if (!span_equal_ignoring_case(span_text(d->registration.hub), span_text(h->settings.host)))
        return HUB_ELSEWHERE;
    return HUB_WELCOME;
}

/* Of a device with symmetric keys, which the service has sealed for this hub. */
static enum err keyed_check(const struct hub *h, const struct store_registration *row,
                            const struct sas_token *token)
{
    SECRET key = {.len = 0};
    CREDENTIAL_KEYS_OWNED keys = {.len = {0, 0}};
    TRY(attest_hub_seal_key(&h->settings.root, &key));
    TRY(credential_keys_open(&key, CREDENTIAL_OF_DEVICE, &row->id,
                             span_of(row->device_keys, row->device_keys_len), &keys));
    return credential_keys_check(&keys, token);
}

static enum err signature_check(const struct hub *h, const struct device *d, const struct regid *id,
                                const struct sas_token *token)
{
    if (d->found && d->enrollment.attestation != STORE_TPM)
        return d->registration.device_keys_len > 0 ? keyed_check(h, &d->registration, token)
                                                   : ERR_UNAUTHORIZED;
    uint8_t ek_name[TPM_NAME_LEN] = {0};
    if (d->found) {
        struct tpm_public ek;
        TRY(tpm_public_read(span_of(d->enrollment.ek, d->enrollment.ek_len), &ek));
        TRY(tpm_public_name(&ek, ek_name));
    }
    struct attest_binding binding = {
        .id_scope = span_text(h->settings.config.id_scope),
        .registration_id = d->found ? &d->registration.id : id,
        .ek_name = ek_name,
        .generation = d->registration.generation,
    };
    SECRET key = {.len = 0};
    TRY(attest_hub_key(&h->settings.root, &binding, &key));
    return sas_token_check_signature(token, secret_span(&key));
}

static uint64_t token_mark(const struct sas_token *token)
{
    struct rd r = rd_over(SPAN_ARRAY(token->signature));
    return rd_u64(&r);
}

static bool is_spent(const struct hub *h, const struct session *row, const struct sas_token *token,
                     int64_t wall_s)
{
    return token->expiry_s <= wall_s &&
           h->spent[row->token_mark % HUB_SPENT_MARKS] == row->token_mark;
}

/* A token that only the allowance for slow clocks saved is good for that allowance. */
static int64_t session_end(const struct sas_token *token, int64_t wall_s)
{
    return token->expiry_s > wall_s ? token->expiry_s : token->expiry_s + SAS_SKEW_S;
}

static enum hub_verdict device_connect(const struct hub *h, const struct hub_connect *c,
                                       struct session *ret_row)
{
    struct regid id;
    struct sas_token token;
    enum hub_verdict v = name_verdict(h, c, &id);
    if (v == HUB_WELCOME)
        v = token_verdict(h, c, &id, &token);
    if (v != HUB_WELCOME)
        return v;
    struct device d;
    if (device_find(h, &id, &d) != ERR_OK)
        return HUB_TROUBLE;
    /* Checked whatever the rows say: the time an answer takes must not tell which ids exist. */
    enum err signature = signature_check(h, &d, &id, &token);
    v = device_verdict(h, &d);
    if (v != HUB_WELCOME)
        return v;
    if (signature != ERR_OK)
        return signature == ERR_UNAUTHORIZED ? HUB_SIGNATURE : HUB_TROUBLE;
    ret_row->device_id = id;
    ret_row->generation = d.registration.generation;
    ret_row->token_mark = token_mark(&token);
    ret_row->end_s = session_end(&token, c->wall_s);
    return is_spent(h, ret_row, &token, c->wall_s) ? HUB_SPENT : HUB_WELCOME;
}

enum hub_verdict hub_connect(struct hub *h, const struct hub_connect *c)
{
    if (c->username.len == 0 || c->password.len == 0)
        return HUB_ANONYMOUS;
    struct session row = {.client = c->client, .end_s = SESSION_ENDLESS};
    enum hub_verdict v = is_backend(h, c->username) ? backend_verdict(h, c)
                                                    : device_connect(h, c, &row);
    if (v == HUB_WELCOME && sessions_put(&h->sessions, &row) != ERR_OK)
        return HUB_TROUBLE;
    return v;
}

void hub_disconnect(struct hub *h, const void *client)
{
    sessions_remove(&h->sessions, client);
}

bool hub_knows(const struct hub *h, const void *client)
{
    return sessions_find(&h->sessions, client) != NULL;
}

/* Asked for absent clients too (a message for a session that outlives its connection), so it judges
 * by the names alone; both were proven when the client connected. */
bool hub_may(const struct hub *h, const struct hub_use *use)
{
    if (is_backend(h, use->username))
        return hub_backend_may(use->access, use->topic);
    if (use->access == HUB_SUBSCRIBE && use->subscriptions >= HUB_SUBSCRIPTIONS_MAX)
        return false;
    return hub_device_may(use->client_id, use->access, use->topic, use->retain);
}

/* ---- watching ---- */
struct ending {
    struct hub *hub;
    void (*end)(void *context, const struct session *row, enum hub_verdict why);
    void *context;
};

static void end_by_time(void *context, const struct session *row)
{
    const struct ending *ending = context;
    ending->hub->spent[row->token_mark % HUB_SPENT_MARKS] = row->token_mark;
    ending->end(ending->context, row, HUB_TOKEN_END);
}

static enum hub_verdict session_verdict(struct hub *h, const struct session *row)
{
    struct device d;
    if (row->device_id.text[0] == '\0')
        return HUB_WELCOME;
    if (device_find(h, &row->device_id, &d) != ERR_OK) {
        h->again = true;
        return HUB_WELCOME;
    }
    enum hub_verdict v = device_verdict(h, &d);
    if (v == HUB_WELCOME && d.registration.generation != row->generation)
        return HUB_NEWER;
    return v;
}

static void look_at_slice(struct hub *h, const struct ending *ending)
{
    for (uint32_t left = h->slice; h->unvisited > 0 && left > 0; left--) {
        uint32_t i = --h->unvisited;
        if (i >= h->sessions.count) { /* some went since: those that took their places are seen */
            h->unvisited = h->sessions.count;
            continue;
        }
        struct session row = h->sessions.rows[i];
        enum hub_verdict v = session_verdict(h, &row);
        if (v == HUB_WELCOME)
            continue;
        sessions_remove(&h->sessions, row.client);
        ending->end(ending->context, &row, v);
    }
}

/* Begins a round if the databases may have changed since the last one began. A store that cannot say
 * counts as changed. */
static void round_begin(struct hub *h, int64_t mono_ms)
{
    if (h->unvisited > 0 || mono_ms - h->round_ms < HUB_ROUND_MS)
        return;
    h->round_ms = mono_ms;
    uint64_t version = h->version;
    bool same = store_reader_version(h->reader, &version) == ERR_OK && version == h->version;
    if (same && !h->again)
        return;
    h->version = version;
    h->again = false;
    h->unvisited = h->sessions.count;
    h->slice = h->sessions.count / HUB_ROUND_TICKS + HUB_SLICE_MIN;
}

void hub_tick(struct hub *h, int64_t wall_s, int64_t mono_ms,
              void (*end)(void *context, const struct session *row, enum hub_verdict why),
              void *context)
{
    if (mono_ms - h->tick_ms < HUB_TICK_MS)
        return;
    h->tick_ms = mono_ms;
    struct ending ending = {h, end, context};
    sessions_sweep(&h->sessions, wall_s, end_by_time, &ending);
    round_begin(h, mono_ms);
    look_at_slice(h, &ending);
}
