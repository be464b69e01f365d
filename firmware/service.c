#include "service.h"

#include <wire/names.h>
#include <wire/text.h>

static void registration_path(struct buf *out, const char *id_scope, const struct regid *id)
{
    buf_put_text(out, "/");
    percent_write(out, span_text(id_scope));
    buf_put_text(out, "/" NAME_REGISTRATIONS "/");
    percent_write(out, regid_span(id));
}

static void api_version(struct buf *out)
{
    buf_put_text(out, "?" NAME_API_VERSION "=" API_VERSION_DEVICE);
}

void service_register_path(struct buf *out, const char *id_scope, const struct regid *id)
{
    registration_path(out, id_scope, id);
    buf_put_text(out, "/" NAME_REGISTER);
    api_version(out);
}

void service_operation_path(struct buf *out, const char *id_scope, const struct regid *id,
                            const char *operation_id)
{
    registration_path(out, id_scope, id);
    buf_put_text(out, "/" NAME_OPERATIONS "/");
    percent_write(out, span_text(operation_id));
    api_version(out);
}

static void quoted(struct buf *out, const char *text)
{
    buf_put_text(out, "\"");
    buf_put_text(out, text);
    buf_put_text(out, "\"");
}

static void key_member(struct buf *out, const char *name, const struct tpm_public *key)
{
    quoted(out, name);
    buf_put_text(out, ":\"");
    base64_write(out, span_of(key->raw, key->raw_len));
    buf_put_text(out, "\"");
}

/* Nothing in it needs a JSON escape: a registration id has no such characters, base64 neither. */
void service_register_body(struct buf *out, const struct regid *id, const struct tpm_public *ek,
                           const struct tpm_public *srk, const char *payload)
{
    buf_put_text(out, "{\"" NAME_REGISTRATION_ID "\":");
    quoted(out, id->text);
    buf_put_text(out, ",\"" NAME_TPM "\":{");
    key_member(out, NAME_ENDORSEMENT_KEY, ek);
    buf_put_text(out, ",");
    key_member(out, NAME_STORAGE_ROOT_KEY, srk);
    buf_put_text(out, "}");
    if (payload) {
        buf_put_text(out, ",\"" NAME_PAYLOAD "\":");
        buf_put_text(out, payload);
    }
    buf_put_text(out, "}");
}

void service_sr(struct buf *out, const char *id_scope, const struct regid *id)
{
    percent_write(out, span_text(id_scope));
    percent_write(out, SPAN_LITERAL("/" NAME_REGISTRATIONS "/"));
    percent_write(out, regid_span(id));
}

void hub_sr(struct buf *out, const char *hub, const char *device_id)
{
    percent_write(out, span_text(hub));
    percent_write(out, SPAN_LITERAL("/" TOPIC_DEVICES));
    percent_write(out, span_text(device_id));
}
