#include "inner.h"

#include <stdio.h>
#include <wire/names.h>
#include <wire/text.h>

bool json_set_time(json_t *object, const char *name, int64_t wall_s)
{
    char text[32];
    struct buf b = BUF_OVER(text);
    time_iso_write(&b, wall_s);
    return buf_end_text(&b) == ERR_OK &&
           json_object_set_new(object, name, json_string(text)) == 0;
}

enum err body_read(struct manager_exchange *x, bool may_be_empty, json_t **ret_json)
{
    json_error_t error;
    struct span body = x->request.body;
    if (body.len == 0 && may_be_empty) {
        *ret_json = json_object();
        return *ret_json == NULL ? ERR_MEMORY : ERR_OK;
    }
    json_t *json = json_loadb((const char *)body.at, body.len, JSON_REJECT_DUPLICATES, &error);
    if (json == NULL && json_error_code(&error) == json_error_out_of_memory)
        return ERR_MEMORY;
    if (json == NULL)
        return refuse(x, ERR_BAD_REQUEST, "the body is not valid JSON: line %d, column %d",
                      error.line, error.column);
    if (!json_is_object(json)) {
        json_decref(json);
        return refuse(x, ERR_BAD_REQUEST, "the body is not a JSON object");
    }
    *ret_json = json;
    return ERR_OK;
}

static int put(const char *text, size_t len, void *body)
{
    buf_put(body, span_of(text, len));
    return 0;
}

enum err respond_json(struct manager_exchange *x, const json_t *json)
{
    if (json_dump_callback(json, put, x->answer.body, JSON_COMPACT) != 0)
        return ERR_MEMORY;
    if (x->answer.body->full)
        return ERR_INTERNAL;
    x->answer.status = 200;
    return ERR_OK;
}

void respond_empty(struct manager_exchange *x)
{
    x->answer.body->len = 0;
    x->answer.status = 204;
}

enum err respond_guid(struct manager_worker *w, char ret_guid[37])
{
    static const uint8_t lengths[] = {4, 2, 2, 2, 6};
    uint8_t random[16];
    struct buf b = buf_over(ret_guid, 37);
    size_t from = 0;
    TRY(attest_random(w->attest, random, sizeof random));
    random[6] = (uint8_t)((random[6] & 0x0f) | 0x40); /* RFC 4122: version 4, variant 1 */
    random[8] = (uint8_t)((random[8] & 0x3f) | 0x80);
    for (size_t i = 0; i < sizeof lengths; i++) {
        if (i > 0)
            buf_put_u8(&b, '-');
        hex_write(&b, span_of(random + from, lengths[i]));
        from += lengths[i];
    }
    return buf_end_text(&b);
}

static void put_string(struct buf *b, const char *before, const char *text)
{
    buf_put_text(b, before);
    buf_put_u8(b, '"');
    for (const char *c = text; *c != 0; c++) {
        if (*c == '"' || *c == '\\')
            buf_put_u8(b, '\\');
        buf_put_u8(b, (uint8_t)*c);
    }
    buf_put_u8(b, '"');
}

static int32_t code_of(const struct manager_exchange *x, enum err why)
{
    return x->code != 0 ? x->code : err_code(why);
}

static const char *text_of(const struct manager_exchange *x, enum err why)
{
    return x->message[0] != 0 ? x->message : err_text(why);
}

/* Whatever was written before is replaced. What refuse was given is printable. */
void respond_error(struct manager_worker *w, struct manager_exchange *x, enum err why)
{
    struct buf *b = x->answer.body;
    struct manager_answer *a = &x->answer;
    b->len = 0;
    b->full = false;
    a->error_code = code_of(x, why);
    a->status = a->error_code / 1000;
    a->retry_after_s = a->status == 503 || a->status == 429 ? 5 : 0;
    a->item_type[0] = a->continuation[0] = 0;
    a->max_item_count = 0;
    buf_put_text(b, "{\"" NAME_ERROR_CODE "\":");
    buf_put_decimal(b, a->error_code);
    put_string(b, ",\"" NAME_TRACKING_ID "\":", a->request_id);
    put_string(b, ",\"" NAME_MESSAGE "\":", text_of(x, why));
    buf_put_text(b, ",\"" NAME_TIMESTAMP "\":\"");
    time_iso_write(b, manager_now(w));
    buf_put_text(b, "\"}");
}

void respond_log(struct manager_worker *w, const struct manager_exchange *x, enum err why)
{
    const struct manager_config *c = &w->manager->config;
    char line[2048];
    struct buf b = BUF_OVER(line);
    if (c->log == NULL)
        return;
    buf_put_text(&b, "{\"time\":\"");
    time_iso_write(&b, manager_now(w));
    put_string(&b, "\",\"level\":", why == ERR_OK ? "info" : "warning");
    put_string(&b, ",\"event\":", x->operation != NULL ? x->operation : "service request");
    put_string(&b, ",\"peer\":", x->request.peer != NULL ? x->request.peer : "");
    put_string(&b, ",\"policy\":", x->policy);
    if (x->id.text[0] != 0)
        put_string(&b, ",\"id\":", x->id.text);
    buf_put_text(&b, ",\"status\":");
    buf_put_decimal(&b, x->answer.status);
    put_string(&b, ",\"tracking\":", x->answer.request_id);
    if (why != ERR_OK)
        put_string(&b, ",\"reason\":", text_of(x, why));
    buf_put_u8(&b, '}');
    if (buf_end_text(&b) == ERR_OK)
        c->log(c->arg, line);
}

/* Reading what is not there is no news. Of strangers one call a second is told: they must not fill the
 * disk. A record that finds no room is counted by the store. */
static bool is_news(struct manager_worker *w, const struct manager_exchange *x, enum err why)
{
    if (x->policy[0] != 0)
        return why == ERR_UNAUTHORIZED || !span_equal(x->request.method, SPAN_LITERAL("GET"));
    if (why != ERR_UNAUTHORIZED || w->stranger_second == manager_now(w))
        return false;
    w->stranger_second = manager_now(w);
    return true;
}

void respond_audit(struct manager_worker *w, const struct manager_exchange *x, enum err why)
{
    struct store_audit entry = {.id = x->id, .outcome = why, .at_s = manager_now(w)};
    const char *who = x->policy[0] != 0 ? x->policy : "nobody";
    if (!is_news(w, x, why))
        return;
    (void)!span_to_text(span_text(who), entry.who, sizeof entry.who);
    (void)!span_to_text(span_slice(x->request.method, 0, sizeof entry.what - 1), entry.what,
                        sizeof entry.what);
    (void)!span_to_text(SPAN_LITERAL("service API"), entry.object, sizeof entry.object);
    (void)snprintf(entry.reason, sizeof entry.reason, "%s: %s; from %s",
                   x->operation != NULL ? x->operation : "no operation", text_of(x, why),
                   x->request.peer != NULL ? x->request.peer : "");
    (void)!store_audit_append(w->manager->store, &entry);
}
