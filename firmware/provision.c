#include <firmware/provision.h>

#include "backoff.h"
#include "httpc.h"
#include "service.h"
#include "slot.h"
#include "tpmdev.h"

#include <string.h>
#include <wire/names.h>

#define STEP_TIMEOUT_MS 15000
#define TOKEN_LIFETIME_S 3600
#define TOKEN_MARGIN_S 300 /* renewed so long before its end */
#define HUB_PATIENCE 8 /* failures at a hub that cannot be reached, then the service is asked */
#define POLLS_MAX 100
#define POLL_INTERVAL_S 2 /* where the service names none */
#define YEAR_2020_S 1577836800
#define TOPIC_CAP (sizeof TOPIC_DEVICES + DEVICE_ID_MAX + sizeof TOPIC_EVENTS)

struct provision {
    const struct hal *hal;
    struct provision_hub *hub;
    struct provision_config config;

    enum provision_state state;
    enum provision_state after_wait;
    enum err last_error;
    enum err note;           /* what a step that succeeded has to tell */
    uint32_t wait_ms;
    uint32_t retry_after_s;  /* of the last answer */
    unsigned failures;       /* in a row */
    unsigned hub_misses;     /* in a row: the hub could not be reached */
    unsigned brief_stays;    /* in a row: the hub let us in, and we did not last */
    unsigned polls;

    struct tpmdev tpm;
    struct tpmdev_certificate certificate;
    enum err certificate_error;
    struct httpc http;
    struct answer answer;
    struct regid id;
    struct assignment assignment;
    bool is_assigned;        /* assignment is filled in */
    bool from_slot;          /* and comes from an earlier boot */
    bool slot_used;          /* there may be something in the slot */
    bool hub_open;
    bool asks_after_hub;     /* on the way to the service only because the hub cannot be reached */

    int64_t told_s;          /* the service's time; 0: it has not told it yet */
    uint64_t told_at_ms;
    int64_t token_expiry_s;
    char token[SAS_TOKEN_CAP];
};
_Static_assert(sizeof(struct provision) <= PROVISION_SIZE, "PROVISION_SIZE is too small");

/* ---- time ---- */
static int64_t time_told(const struct provision *p)
{
    if (p->told_s == 0)
        return 0;
    uint64_t now_ms = p->hal->clock->monotonic_ms(p->hal->clock);
    return p->told_s + (int64_t)((now_ms - p->told_at_ms) / 1000);
}

static int64_t time_for_tls(const struct provision *p)
{
    int64_t wall_s = p->hal->clock->wall_s(p->hal->clock);
    return wall_s != 0 ? wall_s : time_told(p);
}

static int64_t time_for_tokens(const struct provision *p)
{
    int64_t told_s = time_told(p);
    return told_s != 0 ? told_s : p->hal->clock->wall_s(p->hal->clock);
}

/* Before anything else of an answer is used. */
static enum err time_take(struct provision *p, const struct httpc_reply *reply)
{
    if (p->http.dates_unchecked) {
        if (reply->date_s < YEAR_2020_S)
            return ERR_CLOCK;
        if (reply->date_s < p->http.peer.not_before_s || reply->date_s > p->http.peer.not_after_s)
            return ERR_TLS_DATE;
        p->http.dates_unchecked = false;
    }
    if (reply->date_s >= YEAR_2020_S) {
        p->told_s = reply->date_s;
        p->told_at_ms = p->hal->clock->monotonic_ms(p->hal->clock);
    }
    return ERR_OK;
}

/* ---- the service ---- */
static enum err exchange(struct provision *p, const struct httpc_request *request,
                         struct httpc_reply *ret_reply)
{
    struct httpc_reply reply;
    p->retry_after_s = 0;
    TRY(httpc_exchange(&p->http, request, time_for_tls(p), p->config.step_timeout_ms, &reply));
    TRY(time_take(p, &reply));
    p->retry_after_s = reply.retry_after_s;
    *ret_reply = reply;
    return ERR_OK;
}

static enum err ask(struct provision *p, const struct httpc_request *request)
{
    struct httpc_reply reply;
    TRY(exchange(p, request, &reply));
    TRY(answer_read(&reply, &p->answer));
    return p->answer.kind == ANSWER_REFUSED ? p->answer.why : ERR_OK;
}

static enum err register_with(struct provision *p, struct span authorization)
{
    uint8_t path[SERVICE_PATH_CAP], body[SERVICE_BODY_CAP];
    struct buf path_out = BUF_OVER(path), body_out = BUF_OVER(body);
    service_register_path(&path_out, p->config.id_scope, &p->id);
    service_register_body(&body_out, &p->id, &p->tpm.ek, &p->tpm.srk, p->config.payload);
    TRY(buf_end(&path_out));
    TRY(buf_end(&body_out));
    const struct httpc_request request = {.method = "PUT",
                                          .path = buf_span(&path_out),
                                          .authorization = authorization,
                                          .body = buf_span(&body_out)};
    return ask(p, &request);
}

/* Signed by the key of a challenge, which is used for this one token; without a challenge by the hub
 * key. */
static enum err token_make(struct provision *p, struct span sr, struct span key_name,
                           struct span challenge)
{
    int64_t now_s = time_for_tokens(p);
    if (now_s == 0)
        return ERR_CLOCK;
    int64_t expiry_s = now_s + TOKEN_LIFETIME_S;
    uint8_t message[SERVICE_SR_CAP + 32], signature[SAS_SIGNATURE_LEN];
    struct buf out = BUF_OVER(message), token = BUF_OVER(p->token);
    sas_message_write(&out, sr, expiry_s);
    TRY(buf_end(&out));
    TRY(challenge.len > 0 ? tpmdev_prove(&p->tpm, challenge, buf_span(&out), signature)
                          : tpmdev_sign(&p->tpm, buf_span(&out), signature));
    sas_token_write(&token, sr, signature, expiry_s, key_name);
    bytes_wipe(signature, sizeof signature);
    TRY(buf_end_text(&token));
    p->token_expiry_s = expiry_s;
    return ERR_OK;
}

static struct span token_of(const struct provision *p)
{
    return span_text(p->token);
}

/* A blob that is no blob is the service's fault: whatever it is, the device may ask again. */
static enum err outcome_of_blob(enum err e)
{
    bool malformed = e == ERR_TRUNCATED || e == ERR_TRAILING || e == ERR_KEY_ROLE;
    return malformed ? ERR_PROTOCOL : e;
}

static struct span blob_of(const struct provision *p)
{
    return span_of(p->answer.blob, p->answer.blob_len);
}

/* ---- the states: each does its work and names the next; an error is provision_step's to handle */
static enum err config_check(const struct provision *p)
{
    const struct provision_config *c = &p->config;
    if (c->id_scope[0] == '\0' || strlen(c->id_scope) > ID_SCOPE_MAX)
        return ERR_CONFIG;
    return c->payload && strlen(c->payload) > SERVICE_PAYLOAD_MAX ? ERR_CONFIG : ERR_OK;
}

static bool slot_is_ours(const struct provision *p, const struct assignment *a)
{
    return strcmp(a->id_scope, p->config.id_scope) == 0 &&
           (!p->config.registration_id || strcmp(a->registration_id.text, p->id.text) == 0);
}

static enum err step_start(struct provision *p, enum provision_state *ret_next)
{
    TRY(config_check(p));
    if (p->config.registration_id)
        TRY(regid_read(span_text(p->config.registration_id), &p->id));
    uint8_t bytes[HAL_SLOT_CAP];
    size_t len = 0;
    *ret_next = PROVISION_TPM;
    enum err e = p->hal->storage->read(p->hal->storage, SLOT_NAME, bytes, sizeof bytes, &len);
    if (e == ERR_ABSENT)
        return ERR_OK;
    if (e != ERR_OK && e != ERR_FULL)
        return e;
    p->slot_used = true;
    struct assignment a;
    if (e == ERR_OK && slot_read(span_of(bytes, len), &a) == ERR_OK && slot_is_ours(p, &a)) {
        p->assignment = a;
        p->tpm.identity = a.identity;
        p->id = a.registration_id;
        p->is_assigned = true;
        p->from_slot = true;
        *ret_next = PROVISION_HUB;
    }
    return ERR_OK;
}

static enum err step_tpm(struct provision *p, enum provision_state *ret_next)
{
    TRY(tpmdev_keys(&p->tpm));
    if (p->config.read_ek_certificate) /* boots go on without: it proves nothing to the service */
        p->certificate_error = tpmdev_ek_certificate(&p->tpm, &p->certificate);
    if (p->id.text[0] == '\0')
        TRY(regid_from_ek(span_of(p->tpm.ek.raw, p->tpm.ek.raw_len), &p->id));
    *ret_next = PROVISION_REQUEST;
    return ERR_OK;
}

static enum err step_request(struct provision *p, enum provision_state *ret_next)
{
    TRY(register_with(p, span_of(NULL, 0)));
    if (p->answer.kind != ANSWER_CHALLENGE)
        return ERR_PROTOCOL;
    *ret_next = PROVISION_ACTIVATE;
    return ERR_OK;
}

static enum err step_activate(struct provision *p, enum provision_state *ret_next)
{
    if (p->slot_used)
        TRY(p->hal->storage->remove(p->hal->storage, SLOT_NAME));
    p->slot_used = false;
    p->is_assigned = false;
    uint8_t sr[SERVICE_SR_CAP];
    struct buf out = BUF_OVER(sr);
    service_sr(&out, p->config.id_scope, &p->id);
    TRY(buf_end(&out));
    TRY(outcome_of_blob(
        token_make(p, buf_span(&out), SPAN_LITERAL(KEY_NAME_REGISTRATION), blob_of(p))));
    *ret_next = PROVISION_PROVE;
    return ERR_OK;
}

static enum err after_answer(struct provision *p, enum provision_state *ret_next)
{
    if (p->answer.kind == ANSWER_CHALLENGE)
        return ERR_UNAUTHORIZED; /* the token was refused, whatever the answer brings along */
    if (p->answer.kind == ANSWER_ASSIGNED) {
        *ret_next = PROVISION_ADOPT;
        return ERR_OK;
    }
    if (++p->polls > POLLS_MAX)
        return ERR_TIMEOUT;
    p->wait_ms = (p->retry_after_s != 0 ? p->retry_after_s : POLL_INTERVAL_S) * 1000;
    p->after_wait = PROVISION_POLL;
    *ret_next = PROVISION_WAIT;
    return ERR_OK;
}

static enum err step_prove(struct provision *p, enum provision_state *ret_next)
{
    TRY(register_with(p, token_of(p)));
    p->polls = 0;
    return after_answer(p, ret_next);
}

static enum err step_poll(struct provision *p, enum provision_state *ret_next)
{
    uint8_t path[SERVICE_PATH_CAP];
    struct buf out = BUF_OVER(path);
    service_operation_path(&out, p->config.id_scope, &p->id, p->answer.operation_id);
    TRY(buf_end(&out));
    const struct httpc_request request = {
        .method = "GET", .path = buf_span(&out), .authorization = token_of(p)};
    TRY(ask(p, &request));
    return after_answer(p, ret_next);
}

static void assignment_fill(struct provision *p)
{
    memset(&p->assignment, 0, sizeof p->assignment);
    memcpy(p->assignment.id_scope, p->config.id_scope, strlen(p->config.id_scope));
    p->assignment.registration_id = p->id;
    memcpy(p->assignment.hub, p->answer.hub, sizeof p->assignment.hub);
    memcpy(p->assignment.device_id, p->answer.device_id, sizeof p->assignment.device_id);
    p->assignment.identity = p->tpm.identity;
}

static enum err step_adopt(struct provision *p, enum provision_state *ret_next)
{
    TRY(outcome_of_blob(tpmdev_activate(&p->tpm, blob_of(p))));
    assignment_fill(p);
    uint8_t bytes[HAL_SLOT_CAP];
    struct buf out = BUF_OVER(bytes);
    slot_write(&out, &p->assignment);
    TRY(buf_end(&out));
    p->slot_used = true;
    TRY(p->hal->storage->write(p->hal->storage, SLOT_NAME, buf_span(&out)));
    p->is_assigned = true;
    p->from_slot = false;
    httpc_close(&p->http);
    *ret_next = PROVISION_HUB;
    return ERR_OK;
}

/* Any answer has a Date, and this one asks for nothing. */
static enum err step_time(struct provision *p, enum provision_state *ret_next)
{
    const struct httpc_request request = {.method = "GET", .path = SPAN_LITERAL("/")};
    struct httpc_reply reply;
    TRY(exchange(p, &request, &reply));
    httpc_close(&p->http);
    if (time_for_tls(p) == 0)
        return ERR_CLOCK;
    *ret_next = PROVISION_HUB;
    return ERR_OK;
}

static enum err hub_token(struct provision *p)
{
    uint8_t sr[SERVICE_SR_CAP];
    struct buf out = BUF_OVER(sr);
    hub_sr(&out, p->assignment.hub, p->assignment.device_id);
    TRY(buf_end(&out));
    return token_make(p, buf_span(&out), span_of(NULL, 0), span_of(NULL, 0));
}

static void hub_leave(struct provision *p)
{
    if (p->hub_open)
        p->hub->close(p->hub);
    p->hub_open = false;
}

static enum err hub_publish(struct provision *p)
{
    char topic[TOPIC_CAP];
    struct buf out = BUF_OVER(topic);
    buf_put_text(&out, TOPIC_DEVICES);
    buf_put_text(&out, p->assignment.device_id);
    buf_put_text(&out, TOPIC_EVENTS);
    TRY(buf_end_text(&out));
    return p->hub->publish(p->hub, topic, span_text(p->config.payload ? p->config.payload : "{}"));
}

static enum err hub_join(struct provision *p)
{
    httpc_close(&p->http); /* one stream at a time */
    TRY(hub_token(p));
    TRY(p->hub->connect(p->hub, p->assignment.hub, p->config.hub_port, p->assignment.device_id,
                        p->token, time_for_tls(p)));
    p->hub_open = true;
    return hub_publish(p);
}

/* An assignment of an earlier boot may have been overtaken by events: that is no failure yet. One
 * that was made a moment ago and is refused all the same is, and waits. */
static enum err step_hub(struct provision *p, enum provision_state *ret_next)
{
    hub_leave(p);
    if (time_for_tls(p) == 0) {
        *ret_next = PROVISION_TIME;
        return ERR_OK;
    }
    enum err e = hub_join(p);
    if (p->from_slot && (e == ERR_HUB_REFUSED || e == ERR_ABSENT)) {
        p->from_slot = false;
        p->note = e;
        *ret_next = PROVISION_TPM;
        return ERR_OK;
    }
    if (e != ERR_OK) {
        hub_leave(p);
        return e == ERR_ABSENT ? ERR_HUB_REFUSED : e;
    }
    p->failures = p->brief_stays;
    p->hub_misses = 0;
    p->asks_after_hub = false;
    *ret_next = PROVISION_DONE;
    return ERR_OK;
}

/* ---- the machine ---- */
static const struct {
    const char *name;
    enum err (*work)(struct provision *p, enum provision_state *ret_next);
} states[] = {
    [PROVISION_START] = {"start", step_start},
    [PROVISION_TPM] = {"tpm", step_tpm},
    [PROVISION_REQUEST] = {"request", step_request},
    [PROVISION_ACTIVATE] = {"activate", step_activate},
    [PROVISION_PROVE] = {"prove", step_prove},
    [PROVISION_POLL] = {"poll", step_poll},
    [PROVISION_ADOPT] = {"adopt", step_adopt},
    [PROVISION_TIME] = {"time", step_time},
    [PROVISION_HUB] = {"hub", step_hub},
    [PROVISION_WAIT] = {"wait", NULL},
    [PROVISION_DONE] = {"done", NULL},
    [PROVISION_FAILED] = {"failed", NULL},
};

const char *provision_state_name(enum provision_state s)
{
    return s <= PROVISION_FAILED ? states[s].name : "unknown";
}

static bool is_asking(const struct provision *p)
{
    return p->state == PROVISION_REQUEST || p->state == PROVISION_PROVE || p->state == PROVISION_POLL ||
           p->state == PROVISION_TIME;
}

static uint32_t wait_of(struct provision *p)
{
    uint32_t random = 0; /* without randomness it is the shortest wait, no reason to stop */
    (void)p->hal->entropy->fill(p->hal->entropy, (uint8_t *)&random, sizeof random);
    return backoff_ms(p->failures, is_asking(p) ? p->retry_after_s : 0, random);
}

/* A hub that cannot be reached for long may have been replaced: only the service knows. If that one
 * cannot be asked either, the assignment still stands, and the hub is tried again. */
static bool hub_is_given_up(struct provision *p)
{
    unsigned patience = p->config.attempts_max == 0 ? HUB_PATIENCE : p->config.attempts_max - 1;
    p->asks_after_hub = ++p->hub_misses == patience;
    if (p->asks_after_hub)
        p->hub_misses = 0;
    return p->asks_after_hub;
}

static enum provision_state state_to_retry(struct provision *p, enum err e)
{
    /* A blob that could not be used will not do the second time either. */
    bool bad_blob = e == ERR_PROTOCOL && (p->state == PROVISION_ACTIVATE || p->state == PROVISION_ADOPT);
    bool no_end = p->state == PROVISION_POLL && p->polls > POLLS_MAX;
    if (p->state == PROVISION_HUB)
        p->asks_after_hub = false;
    if (bad_blob || no_end || err_device_action(e) == ERR_RECHALLENGE || e == ERR_NOT_ENROLLED)
        return PROVISION_TPM;
    if (p->state == PROVISION_HUB)
        return hub_is_given_up(p) ? PROVISION_TPM : PROVISION_HUB;
    return p->asks_after_hub && p->is_assigned ? PROVISION_HUB : p->state;
}

/* A device that stays outlives its refusal: the list may be on its way, a lock may be lifted. */
static bool is_final(const struct provision *p, enum err e)
{
    bool staying = p->config.attempts_max == 0;
    if (err_device_action(e) == ERR_GIVE_UP && !(staying && e == ERR_NOT_ENROLLED))
        return true;
    return !staying && p->failures >= p->config.attempts_max;
}

static void fail(struct provision *p, enum err e)
{
    if (p->state == PROVISION_POLL && e == ERR_NOT_FOUND)
        e = ERR_CONFLICT; /* the operation is gone, the enrollment is not: begin again */
    httpc_close(&p->http);
    p->last_error = e;
    p->failures++;
    if (is_final(p, e)) {
        p->state = PROVISION_FAILED;
        return;
    }
    p->wait_ms = wait_of(p);
    p->after_wait = state_to_retry(p, e);
    p->state = PROVISION_WAIT;
}

static void wait_over(struct provision *p)
{
    p->hal->clock->sleep_ms(p->hal->clock, p->wait_ms);
    p->wait_ms = 0;
    p->state = p->after_wait;
}

enum provision_state provision_step(struct provision *p)
{
    if (p->state == PROVISION_WAIT) {
        wait_over(p);
        return p->state;
    }
    if (!states[p->state].work)
        return p->state;
    enum provision_state next = PROVISION_FAILED;
    p->note = ERR_OK;
    enum err e = states[p->state].work(p, &next);
    if (e != ERR_OK) {
        fail(p, e);
        return p->state;
    }
    p->last_error = p->note;
    p->state = next;
    return p->state;
}

enum provision_state provision_stay(struct provision *p, uint32_t ms)
{
    ERR_ASSERT(p->state == PROVISION_DONE);
    p->state = PROVISION_HUB; /* whatever happens now is mended there */
    p->last_error = ERR_OK;
    if (time_for_tokens(p) + ms / 1000 + TOKEN_MARGIN_S >= p->token_expiry_s)
        return p->state;
    enum err e = p->hub->idle(p->hub, ms);
    if (e == ERR_OK)
        e = hub_publish(p);
    if (e != ERR_OK) {
        p->brief_stays++;
        fail(p, e);
        return p->state;
    }
    p->failures = p->brief_stays = 0;
    p->state = PROVISION_DONE;
    return p->state;
}

struct provision *provision_init(union provision_memory *memory, const struct hal *hal,
                                 struct provision_hub *hub, const struct provision_config *config)
{
    struct provision *p = (struct provision *)(void *)memory->bytes;
    memset(p, 0, sizeof *p);
    p->hal = hal;
    p->hub = hub;
    p->config = *config;
    if (p->config.step_timeout_ms == 0)
        p->config.step_timeout_ms = STEP_TIMEOUT_MS;
    tpmdev_init(&p->tpm, hal->tpm, hal->clock);
    p->tpm.choice = config->tpm;
    httpc_init(&p->http, hal->transport, hal->clock, config->service_host, config->service_port);
    return p;
}

void provision_end(struct provision *p)
{
    if (!p)
        return;
    hub_leave(p);
    httpc_close(&p->http);
    tpmdev_end(&p->tpm);
    bytes_wipe(p, sizeof *p);
}

/* ---- looking in ---- */
enum err provision_last_error(const struct provision *p)
{
    return p->last_error;
}

uint32_t provision_wait_ms(const struct provision *p)
{
    return p->wait_ms;
}

const char *provision_registration_id(const struct provision *p)
{
    return p->id.text;
}

const char *provision_assigned_hub(const struct provision *p)
{
    return p->is_assigned ? p->assignment.hub : "";
}

const char *provision_device_id(const struct provision *p)
{
    return p->is_assigned ? p->assignment.device_id : "";
}

struct provision_report provision_report(const struct provision *p)
{
    bool known = p->tpm.keys_known;
    bool is_refusal = p->answer.kind == ANSWER_REFUSED;
    return (struct provision_report){
        .ek = known ? &p->tpm.ek : NULL,
        .srk = known ? &p->tpm.srk : NULL,
        .ek_place = p->tpm.ek_place,
        .srk_place = p->tpm.srk_place,
        .ek_why = p->tpm.ek_why,
        .identity_handle = p->tpm.identity.handle,
        .identity_unkept = p->tpm.identity_unkept,
        .identity_replaced = p->tpm.identity_replaced,
        .certificate_error = p->certificate_error,
        .certificate_nv_index = p->certificate.nv_index,
        .certificate_len = p->certificate.len,
        .certificate_is_of_ek = p->certificate.is_of_ek,
        .tpm_code = p->tpm.last_rc,
        .service_code = is_refusal ? p->answer.code : 0,
        .service_message = is_refusal ? p->answer.message : "",
        .time_from_service = p->told_s != 0 && p->hal->clock->wall_s(p->hal->clock) == 0,
    };
}
