#include "answer.h"
#include "json.h"

#include <string.h>
#include <wire/names.h>
#include <wire/text.h>

bool answer_hub_is_valid(struct span hub)
{
    if (hub.len < 3 || hub.len > HUB_NAME_MAX || !memchr(hub.at, '.', hub.len))
        return false;
    for (size_t i = 0; i < hub.len; i++) {
        uint8_t c = hub.at[i];
        bool edge = i == 0 || i + 1 == hub.len || hub.at[i - 1] == '.';
        bool plain = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
        if (!plain && (edge || (c != '-' && c != '.')))
            return false;
    }
    return true;
}

bool answer_device_id_is_valid(struct span id)
{
    for (size_t i = 0; i < id.len; i++)
        if (id.at[i] <= ' ' || id.at[i] >= 0x7f || strchr("/+#\"\\", id.at[i]))
            return false;
    return id.len > 0 && id.len <= DEVICE_ID_MAX;
}

static void lower(char *text)
{
    for (; *text; text++)
        if (*text >= 'A' && *text <= 'Z')
            *text = (char)(*text + ('a' - 'A'));
}

/* For people to read on a terminal: what could control it is left out. */
static void message_read(const struct cJSON *object, const char *name, char *ret_message)
{
    struct span text;
    size_t len = 0;
    if (json_text(object, name, &text) == ERR_OK)
        for (size_t i = 0; i < text.len && len < ANSWER_MESSAGE_MAX; i++)
            if (text.at[i] >= ' ' && text.at[i] < 0x7f)
                ret_message[len++] = (char)text.at[i];
    ret_message[len] = '\0';
}

static enum err blob_read(const struct cJSON *object, struct answer *a)
{
    struct span text;
    TRY(json_text(object, NAME_AUTHENTICATION_KEY, &text));
    struct buf out = BUF_OVER(a->blob);
    TRY(base64_read(text, &out));
    a->blob_len = out.len;
    return ERR_OK;
}

static enum err challenge_read(const struct cJSON *body, struct answer *a)
{
    a->kind = ANSWER_CHALLENGE;
    return blob_read(body, a);
}

static void refused(struct answer *a, enum err why)
{
    a->kind = ANSWER_REFUSED;
    a->why = why == ERR_OK ? ERR_PROTOCOL : why;
}

/* The body of an error may be missing (a proxy's answer): then the status alone speaks. */
static void error_read(int status, const struct cJSON *body, struct answer *a)
{
    if (body) {
        if (json_integer(body, NAME_ERROR_CODE, &a->code) != ERR_OK)
            a->code = 0;
        message_read(body, NAME_MESSAGE, a->message);
    }
    enum err why = err_from_answer(status, a->code);
    if (a->code == 0 && err_device_action(why) == ERR_GIVE_UP)
        why = ERR_PROTOCOL; /* what a proxy or a portal says of itself is not the service's last word */
    refused(a, why);
}

static enum err operation_id_read(const struct cJSON *body, struct answer *a)
{
    struct span id;
    TRY(json_text(body, NAME_OPERATION_ID, &id));
    if (id.len == 0 || memchr(id.at, '/', id.len))
        return ERR_PROTOCOL;
    return span_to_text(id, a->operation_id, sizeof a->operation_id);
}

static enum err assigned_read(const struct cJSON *body, struct answer *a)
{
    const struct cJSON *state, *tpm;
    struct span hub, device_id;
    a->kind = ANSWER_ASSIGNED;
    TRY(json_object(body, NAME_REGISTRATION_STATE, &state));
    TRY(json_object(state, NAME_TPM, &tpm));
    TRY(blob_read(tpm, a));
    TRY(json_text(state, NAME_ASSIGNED_HUB, &hub));
    TRY(span_to_text(hub, a->hub, sizeof a->hub));
    lower(a->hub);
    TRY(json_text(state, NAME_DEVICE_ID, &device_id));
    TRY(span_to_text(device_id, a->device_id, sizeof a->device_id));
    return answer_hub_is_valid(span_text(a->hub)) && answer_device_id_is_valid(device_id)
               ? ERR_OK
               : ERR_PROTOCOL;
}

static enum err failed_read(const struct cJSON *body, struct answer *a)
{
    const struct cJSON *state;
    TRY(json_object(body, NAME_REGISTRATION_STATE, &state));
    TRY(json_integer(state, NAME_ERROR_CODE, &a->code));
    message_read(state, NAME_ERROR_MESSAGE, a->message);
    refused(a, err_from_answer(a->code / 1000, a->code));
    return ERR_OK;
}

static enum err result_read(const struct cJSON *body, struct answer *a)
{
    struct span status;
    TRY(json_text(body, NAME_STATUS, &status));
    if (span_equal(status, SPAN_LITERAL(STATUS_ASSIGNED)))
        return assigned_read(body, a);
    if (span_equal(status, SPAN_LITERAL(STATUS_ASSIGNING))) {
        a->kind = ANSWER_ASSIGNING;
        return operation_id_read(body, a);
    }
    if (span_equal(status, SPAN_LITERAL(STATUS_FAILED)))
        return failed_read(body, a);
    if (span_equal(status, SPAN_LITERAL(STATUS_DISABLED))) {
        refused(a, ERR_DISABLED);
        return ERR_OK;
    }
    return ERR_PROTOCOL;
}

static enum err body_read(int status, const struct cJSON *body, struct answer *a)
{
    struct span key;
    if (status == 401 && body && json_text(body, NAME_AUTHENTICATION_KEY, &key) == ERR_OK)
        return challenge_read(body, a);
    if (status >= 300) {
        error_read(status, body, a);
        return ERR_OK;
    }
    return body ? result_read(body, a) : ERR_PROTOCOL;
}

enum err answer_read(const struct httpc_reply *reply, struct answer *ret_answer)
{
    const struct cJSON *body = NULL;
    if (reply->is_json && json_parse(reply->body, &body) != ERR_OK)
        body = NULL;
    struct answer a = {0};
    enum err e = body_read(reply->status, body, &a);
    json_end();
    if (e == ERR_OK)
        *ret_answer = a;
    bytes_wipe(&a, sizeof a);
    return e == ERR_OK ? ERR_OK : ERR_PROTOCOL;
}
