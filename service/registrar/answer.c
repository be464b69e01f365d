#include "inner.h"

#include <wire/names.h>
#include <wire/text.h>

/* Every value written here is our own or was validated to hold nothing that JSON escapes. */

static void put_name(struct buf *b, const char *name)
{
    if (b->len > 0 && b->at[b->len - 1] != '{')
        buf_put_u8(b, ',');
    buf_put_u8(b, '"');
    buf_put_text(b, name);
    buf_put_text(b, "\":");
}

static void put_string(struct buf *b, const char *name, struct span value)
{
    put_name(b, name);
    buf_put_u8(b, '"');
    buf_put(b, value);
    buf_put_u8(b, '"');
}

static void put_time(struct buf *b, const char *name, int64_t wall_s)
{
    put_name(b, name);
    buf_put_u8(b, '"');
    time_iso_write(b, wall_s);
    buf_put_u8(b, '"');
}

static void put_number(struct buf *b, const char *name, int64_t value)
{
    put_name(b, name);
    buf_put_decimal(b, value);
}

static void put_open(struct buf *b, const char *name)
{
    put_name(b, name);
    buf_put_u8(b, '{');
}

enum err answer_guid(struct registrar_worker *w, char ret_guid[GUID_LEN + 1])
{
    static const uint8_t lengths[] = {4, 2, 2, 2, 6};
    uint8_t random[16];
    struct buf b = buf_over(ret_guid, GUID_LEN + 1);
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

static const char *substatus_of(const struct store_registration *row)
{
    switch (row->operation_id[0] - '0') {
    case SUBSTATUS_INITIAL:
        return "initialAssignment";
    case SUBSTATUS_REPROVISIONED:
        return "reprovisionedToInitialAssignment";
    case SUBSTATUS_RESET:
        return "deviceDataReset";
    default:
        return "deviceDataMigrated";
    }
}

/* The members of a DeviceRegistrationResult, without braces. */
static void put_result(struct buf *b, const struct store_registration *row)
{
    put_string(b, NAME_REGISTRATION_ID, regid_span(&row->id));
    put_time(b, NAME_CREATED, row->created_s);
    put_string(b, NAME_ASSIGNED_HUB, span_text(row->hub));
    put_string(b, NAME_DEVICE_ID, regid_span(&row->device_id));
    put_string(b, NAME_STATUS, SPAN_LITERAL(STATUS_ASSIGNED));
    put_string(b, NAME_SUBSTATUS, span_text(substatus_of(row)));
    put_time(b, NAME_UPDATED, row->updated_s);
    put_string(b, NAME_ETAG, span_text(row->etag));
}

void answer_challenge(struct registrar_exchange *x, struct span blob_base64)
{
    struct buf *b = x->answer.body;
    buf_put_u8(b, '{');
    put_string(b, NAME_MESSAGE,
               SPAN_LITERAL("Authorization required, resend request using supplied key"));
    put_string(b, NAME_AUTHENTICATION_KEY, blob_base64);
    buf_put_text(b, ",\"unencryptedAuthenticationKey\":null");
    put_string(b, NAME_KEY_NAME, SPAN_LITERAL(KEY_NAME_REGISTRATION));
    buf_put_u8(b, '}');
    x->answer.status = 401;
    x->answer.expects_answer = true;
}

void answer_assigned(struct registrar_exchange *x, const struct store_registration *row,
                     struct span blob_base64)
{
    struct buf *b = x->answer.body;
    buf_put_u8(b, '{');
    put_string(b, NAME_OPERATION_ID, span_text(row->operation_id));
    put_string(b, NAME_STATUS, SPAN_LITERAL(STATUS_ASSIGNED));
    put_open(b, NAME_REGISTRATION_STATE);
    put_open(b, NAME_TPM);
    put_string(b, NAME_AUTHENTICATION_KEY, blob_base64);
    buf_put_u8(b, '}');
    put_result(b, row);
    buf_put_text(b, "}}");
}

void answer_assigned_keyed(struct registrar_exchange *x, const struct store_registration *row)
{
    struct buf *b = x->answer.body;
    buf_put_u8(b, '{');
    put_string(b, NAME_OPERATION_ID, span_text(row->operation_id));
    put_string(b, NAME_STATUS, SPAN_LITERAL(STATUS_ASSIGNED));
    put_open(b, NAME_REGISTRATION_STATE);
    put_open(b, NAME_SYMMETRIC_KEY);
    if (row->group.text[0] != '\0')
        put_string(b, NAME_ENROLLMENT_GROUP_ID, regid_span(&row->group));
    buf_put_u8(b, '}');
    put_result(b, row);
    buf_put_text(b, "}}");
}

void answer_disabled(struct registrar_exchange *x, const struct store_registration *row)
{
    struct buf *b = x->answer.body;
    buf_put_u8(b, '{');
    put_string(b, NAME_OPERATION_ID, span_text(row->operation_id));
    put_string(b, NAME_STATUS, SPAN_LITERAL(STATUS_DISABLED));
    put_open(b, NAME_REGISTRATION_STATE);
    put_string(b, NAME_REGISTRATION_ID, regid_span(&row->id));
    put_string(b, NAME_STATUS, SPAN_LITERAL(STATUS_DISABLED));
    put_number(b, NAME_ERROR_CODE, err_code(ERR_DISABLED));
    put_string(b, NAME_ERROR_MESSAGE, span_text(err_text(ERR_DISABLED)));
    buf_put_text(b, "}}");
    x->answer.status = 200;
}

void answer_registration(struct registrar_exchange *x, const struct store_registration *row)
{
    struct buf *b = x->answer.body;
    buf_put_u8(b, '{');
    put_result(b, row);
    buf_put_u8(b, '}');
    x->answer.status = 200;
}

/* Whatever was written before is replaced; no key material leaves with an error. */
void answer_error(struct registrar_worker *w, struct registrar_exchange *x, enum err why)
{
    struct buf *b = x->answer.body;
    struct registrar_answer *a = &x->answer;
    b->len = 0;
    b->full = false;
    a->status = err_http_status(why);
    a->error_code = err_code(why);
    a->retry_after_s = a->status == 503 || a->status == 429 ? 5 : 0;
    a->location[0] = '\0';
    a->expects_answer = false;
    buf_put_u8(b, '{');
    put_number(b, NAME_ERROR_CODE, a->error_code);
    put_string(b, NAME_TRACKING_ID, span_text(a->request_id));
    put_string(b, NAME_MESSAGE, span_text(err_text(why)));
    put_time(b, NAME_TIMESTAMP, registrar_now(w));
    buf_put_u8(b, '}');
}
