#include <toyservice.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <toytpm.h>
#include <wire/names.h>
#include <wire/sas.h>
#include <wire/text.h>
#include <wire/tpmblob.h>

static int64_t now_s(const struct toyservice *s)
{
    return s->time_s + (int64_t)(s->clock->now_ms / 1000);
}

void toyservice_init(struct toyservice *s, struct fake_clock *clock, int64_t time_s)
{
    memset(s, 0, sizeof *s);
    s->clock = clock;
    s->time_s = time_s;
    s->tells_time = true;
    s->hub = TOY_HUB;
}

/* ---- requests ---- */
struct request {
    struct span method, path, authorization, body;
};

static struct span header_find(struct span head, const char *name)
{
    size_t len = strlen(name);
    const uint8_t *at = memmem(head.at, head.len, name, len);
    if (!at)
        return span_of(NULL, 0);
    struct span value = span_slice(head, (size_t)(at - head.at) + len, head.len);
    return span_cut(&value, '\r');
}

static bool request_read(struct span bytes, struct request *ret)
{
    const uint8_t *end = memmem(bytes.at, bytes.len, "\r\n\r\n", 4);
    if (!end)
        return false;
    struct span head = span_slice(bytes, 0, (size_t)(end - bytes.at));
    struct span length = header_find(head, "Content-Length: ");
    int64_t body_len = 0;
    if (length.at)
        ERR_ASSERT(decimal_read(length, &body_len) == ERR_OK);
    ret->body = span_slice(bytes, head.len + 4, bytes.len);
    ret->authorization = header_find(head, "Authorization: ");
    ret->method = span_cut(&head, ' ');
    ret->path = span_cut(&head, ' ');
    return ret->body.len == (size_t)body_len;
}

static bool token_is_good(struct toyservice *s, struct span text)
{
    struct sas_token token;
    return sas_token_read(text, &token) == ERR_OK &&
           sas_token_check_signature(&token, SPAN_ARRAY(s->nonce_key)) == ERR_OK &&
           sas_token_check_resource(&token,
                                    SPAN_LITERAL(TOY_SCOPE "/registrations/" TOY_DEVICE)) == ERR_OK &&
           sas_token_check_expiry(&token, now_s(s)) == ERR_OK;
}

/* ---- answers ---- */
static void answer(struct toyservice *s, struct buf *reply, const char *status, struct buf *body)
{
    buf_put_text(reply, "HTTP/1.1 ");
    buf_put_text(reply, status);
    if (s->tells_time) {
        buf_put_text(reply, "\r\nDate: ");
        time_http_write(reply, now_s(s));
    }
    if (s->retry_after_s != 0) {
        buf_put_text(reply, "\r\nRetry-After: ");
        buf_put_decimal(reply, s->retry_after_s);
    }
    buf_put_text(reply, "\r\nContent-Type: application/json\r\nContent-Length: ");
    buf_put_decimal(reply, (int64_t)body->len);
    buf_put_text(reply, "\r\n\r\n");
    buf_put(reply, buf_span(body));
}

static void put_key(const struct toyservice *s, struct buf *body, const uint8_t key[32])
{
    uint8_t blob[TPMBLOB_CAP];
    struct buf blob_out = BUF_OVER(blob);
    if (s->wrap)
        s->wrap(s->wrap_context, key, &blob_out);
    else
        toytpm_blob_write(&blob_out, key);
    buf_put_text(body, "\"" NAME_AUTHENTICATION_KEY "\":\"");
    base64_write(body, buf_span(&blob_out));
    buf_put_text(body, "\"");
}

static void challenge(struct toyservice *s, struct buf *reply, struct buf *body)
{
    memset(s->nonce_key, 0x10 + (int)s->requests, sizeof s->nonce_key);
    buf_put_text(body, "{\"message\":\"prove it\",");
    put_key(s, body, s->nonce_key);
    buf_put_text(body, ",\"keyName\":\"registration\"}");
    answer(s, reply, "401 Unauthorized", body);
}

static void refuse(struct toyservice *s, struct buf *reply, struct buf *body, const char *status,
                   const char *code)
{
    buf_put_text(body, "{\"errorCode\":");
    buf_put_text(body, code);
    buf_put_text(body, ",\"message\":\"refused\"}");
    answer(s, reply, status, body);
}

static void assigning(struct toyservice *s, struct buf *reply, struct buf *body)
{
    buf_put_text(body, "{\"operationId\":\"5.op.1\",\"status\":\"assigning\"}");
    answer(s, reply, "202 Accepted", body);
}

static void assigned(struct toyservice *s, struct buf *reply, struct buf *body, const char *status)
{
    memset(s->hub_key, 0x80 + (int)s->proofs, sizeof s->hub_key);
    buf_put_text(body, "{\"operationId\":\"5.op.1\",\"status\":\"assigned\",\"registrationState\":{"
                       "\"assignedHub\":\"");
    for (const char *c = s->hub; *c; c++) /* not as a device shall remember it */
        buf_put_u8(body, *c >= 'a' && *c <= 'z' ? (uint8_t)(*c - ('a' - 'A')) : (uint8_t)*c);
    buf_put_text(body, "\",\"deviceId\":\"" TOY_DEVICE "\",\"tpm\":{");
    put_key(s, body, s->hub_key);
    buf_put_text(body, "}}}");
    answer(s, reply, status, body);
}

static void progress(struct toyservice *s, struct buf *reply, struct buf *body, const char *status)
{
    if (s->polls < s->polls_before_assigned)
        assigning(s, reply, body);
    else
        assigned(s, reply, body, status);
}

static void respond(struct toyservice *s, const struct request *q, struct buf *reply)
{
    uint8_t bytes[4096];
    struct buf body = BUF_OVER(bytes);
    bool is_poll = memmem(q->path.at, q->path.len, "/operations/5.op.1?", 19) != NULL;
    if (span_equal(q->path, SPAN_LITERAL("/"))) {
        refuse(s, reply, &body, "404 Not Found", "404000");
    } else if (q->authorization.len == 0) {
        s->saw_payload = memmem(q->body.at, q->body.len, "\"payload\":{", 11) != NULL;
        challenge(s, reply, &body);
    } else if (!token_is_good(s, q->authorization)) {
        refuse(s, reply, &body, "401 Unauthorized", "401002");
    } else if (is_poll) {
        s->polls++;
        progress(s, reply, &body, "200 OK");
    } else {
        s->proofs++;
        progress(s, reply, &body, "202 Accepted");
    }
}

size_t toyservice_serve(void *context, struct span bytes, struct buf *reply)
{
    struct toyservice *s = context;
    struct request q;
    if (!request_read(bytes, &q))
        return 0;
    ERR_ASSERT(span_to_text(q.path, s->last_path, sizeof s->last_path) == ERR_OK);
    unsigned n = s->requests++;
    if (s->storm)
        buf_put_text(reply, s->storm);
    else if (n < TOY_REQUESTS && s->raw[n])
        buf_put_text(reply, s->raw[n]);
    else
        respond(s, &q, reply);
    return bytes.len;
}

/* ---- the hub ---- */
static enum err hub_connect(struct provision_hub *table, const char *host, uint16_t port,
                            const char *device_id, const char *sas_token, int64_t at_s)
{
    struct toyhub *h = (struct toyhub *)table;
    ERR_ASSERT(!h->is_open && !h->transport->is_open && port == 8883 && at_s != 0);
    h->connects++;
    h->last_now_s = at_s;
    if (h->connect_error != ERR_OK)
        return h->connect_error;
    if (h->dead && strcmp(host, h->dead) == 0)
        return ERR_NETWORK;
    struct sas_token token;
    char resource[256];
    (void)snprintf(resource, sizeof resource, "%s/devices/" TOY_DEVICE, h->service->hub);
    bool good = strcmp(host, h->service->hub) == 0 && strcmp(device_id, TOY_DEVICE) == 0 &&
                sas_token_read(span_text(sas_token), &token) == ERR_OK &&
                sas_token_check_signature(&token, SPAN_ARRAY(h->service->hub_key)) == ERR_OK &&
                sas_token_check_resource(&token, span_text(resource)) == ERR_OK &&
                sas_token_check_expiry(&token, now_s(h->service)) == ERR_OK;
    if (h->refuse > 0) {
        h->refuse--;
        return ERR_HUB_REFUSED;
    }
    h->is_open = good;
    return good ? ERR_OK : ERR_HUB_REFUSED;
}

static enum err take(enum err *planned)
{
    enum err e = *planned;
    *planned = ERR_OK;
    return e;
}

static enum err hub_publish(struct provision_hub *table, const char *topic, struct span payload)
{
    struct toyhub *h = (struct toyhub *)table;
    ERR_ASSERT(h->is_open);
    TRY(take(&h->publish_error));
    h->publishes++;
    TRY(span_to_text(span_text(topic), h->last_topic, sizeof h->last_topic));
    return span_to_text(payload, h->last_payload, sizeof h->last_payload);
}

static enum err hub_idle(struct provision_hub *table, uint32_t ms)
{
    struct toyhub *h = (struct toyhub *)table;
    ERR_ASSERT(h->is_open);
    TRY(take(&h->idle_error));
    h->idled_ms += ms;
    h->service->clock->table.sleep_ms(&h->service->clock->table, ms);
    return ERR_OK;
}

static void hub_close(struct provision_hub *table)
{
    ((struct toyhub *)table)->is_open = false;
}

void toyhub_init(struct toyhub *h, struct toyservice *service, struct fake_transport *transport)
{
    memset(h, 0, sizeof *h);
    h->table = (struct provision_hub){
        .connect = hub_connect, .publish = hub_publish, .idle = hub_idle, .close = hub_close};
    h->service = service;
    h->transport = transport;
}
