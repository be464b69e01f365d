#include "inner.h"

#include <jansson.h>
#include <string.h>
#include <wire/names.h>
#include <wire/text.h>

#define SEGMENT_CAP 256
#define SEGMENTS_MAX 5

/* ---- the path ---- */
struct segments {
    char text[SEGMENTS_MAX][SEGMENT_CAP];
    struct span at[SEGMENTS_MAX];
    int count;
};

/* Escapes are undone once, after the path was cut: an escaped slash never separates. */
static enum err split(struct span path, struct segments *ret_segments)
{
    struct span rest = path;
    struct segments *s = ret_segments;
    s->count = 0;
    if (path.len == 0 || span_cut(&rest, '/').len != 0)
        return ERR_NOT_FOUND;
    while (rest.at != NULL) {
        struct span raw = span_cut(&rest, '/');
        if (s->count == SEGMENTS_MAX || raw.len == 0 || raw.len > 3 * SEGMENT_CAP)
            return ERR_NOT_FOUND;
        struct buf b = BUF_OVER(s->text[s->count]);
        enum err e = percent_read(raw, &b);
        if (e == ERR_FULL)
            return ERR_NOT_FOUND;
        if (e != ERR_OK)
            return ERR_BAD_REQUEST;
        s->at[s->count++] = buf_span(&b);
    }
    return ERR_OK;
}

static bool is(struct span segment, const char *name)
{
    return span_equal_ignoring_case(segment, span_text(name));
}

static enum err find_resource(const struct segments *s, enum resource *ret_resource)
{
    if (s->count < 3 || !is(s->at[1], NAME_REGISTRATIONS))
        return ERR_NOT_FOUND;
    if (s->count == 3)
        *ret_resource = RESOURCE_REGISTRATION;
    else if (s->count == 4 && is(s->at[3], NAME_REGISTER))
        *ret_resource = RESOURCE_REGISTER;
    else if (s->count == 5 && is(s->at[3], NAME_OPERATIONS))
        *ret_resource = RESOURCE_OPERATION;
    else
        return ERR_NOT_FOUND;
    return ERR_OK;
}

static const char *method_of(enum resource r)
{
    return r == RESOURCE_REGISTER ? "PUT" : r == RESOURCE_OPERATION ? "GET" : "POST";
}

/* A parameter such as charset says nothing new: JSON is UTF-8. Some clients name no type at all. */
static enum err check_media_type(const struct registrar_request *q)
{
    struct span rest = q->content_type;
    struct span type = span_cut(&rest, ';');
    while (type.len > 0 && (type.at[type.len - 1] == ' ' || type.at[type.len - 1] == '\t'))
        type.len--;
    if (q->body.len == 0 || q->content_type.len == 0)
        return ERR_OK;
    return span_equal_ignoring_case(type, SPAN_LITERAL("application/json")) ? ERR_OK : ERR_MEDIA_TYPE;
}

enum err request_read_target(const struct registrar_request *q, struct span id_scope,
                             struct target *ret_target)
{
    struct segments s;
    struct target t = {.operation_id = ""};
    TRY(split(q->path, &s));
    TRY(find_resource(&s, &t.resource));
    if (!span_equal(q->method, span_text(method_of(t.resource))))
        return ERR_METHOD;
    if (!span_equal_ignoring_case(s.at[0], id_scope))
        return ERR_NOT_ENROLLED;
    TRY(regid_read(s.at[2], &t.id));
    if (t.resource == RESOURCE_OPERATION &&
        span_to_text(s.at[4], t.operation_id, sizeof t.operation_id) != ERR_OK)
        return ERR_NOT_FOUND;
    /* A poll's body says nothing and is not looked at. */
    if (t.resource != RESOURCE_OPERATION)
        TRY(check_media_type(q));
    *ret_target = t;
    return ERR_OK;
}

/* ---- the body ---- */
static void json_release(json_t **json)
{
    json_decref(*json);
}
#define JSON __attribute__((cleanup(json_release))) json_t

static enum err read_key(const json_t *tpm, const char *name, enum tpm_key_role role,
                         struct tpm_public *ret_pub)
{
    const json_t *text = json_object_get(tpm, name);
    uint8_t raw[TPM_PUBLIC_CAP];
    struct buf b = BUF_OVER(raw);
    if (!json_is_string(text))
        return ERR_INVALID_ARGUMENT;
    struct span base64 = span_of(json_string_value(text), json_string_length(text));
    if (base64.len > BASE64_LEN(TPM_PUBLIC_CAP))
        return ERR_KEY_SHAPE;
    enum err e = base64_read(base64, &b);
    if (e != ERR_OK)
        return e == ERR_FULL ? ERR_KEY_SHAPE : e;
    TRY(tpm_public_read(buf_span(&b), ret_pub));
    return tpm_public_check_role(ret_pub, role);
}

static enum err read_tpm(const json_t *body, struct device_keys *ret_keys)
{
    const json_t *tpm = json_object_get(body, NAME_TPM);
    ret_keys->given = false;
    if (tpm == NULL || json_is_null(tpm))
        return ERR_OK;
    if (!json_is_object(tpm))
        return ERR_INVALID_ARGUMENT;
    TRY(read_key(tpm, NAME_ENDORSEMENT_KEY, TPM_ROLE_EK, &ret_keys->ek));
    TRY(read_key(tpm, NAME_STORAGE_ROOT_KEY, TPM_ROLE_SRK, &ret_keys->srk));
    ret_keys->given = true;
    return ERR_OK;
}

/* The path is what counts; a body that names an id must name the same one. */
static enum err check_same_id(const json_t *body, const struct regid *id)
{
    const json_t *text = json_object_get(body, NAME_REGISTRATION_ID);
    struct regid named;
    if (text == NULL || json_is_null(text))
        return ERR_OK;
    if (!json_is_string(text))
        return ERR_REG_ID;
    TRY(regid_read(span_of(json_string_value(text), json_string_length(text)), &named));
    return span_equal(regid_span(&named), regid_span(id)) ? ERR_OK : ERR_REG_ID;
}

enum err request_read_body(struct span body, const struct regid *id, struct device_keys *ret_keys)
{
    json_error_t error;
    ret_keys->given = false;
    if (body.len == 0)
        return ERR_OK;
    /* Numbers occur in the payload only, which is not looked at: as reals none is too long. jansson
     * itself ends at a depth of 2048. */
    JSON *json = json_loadb((const char *)body.at, body.len,
                            JSON_REJECT_DUPLICATES | JSON_DECODE_INT_AS_REAL, &error);
    if (json == NULL)
        return json_error_code(&error) == json_error_out_of_memory ? ERR_MEMORY : ERR_BAD_REQUEST;
    if (!json_is_object(json))
        return ERR_BAD_REQUEST;
    TRY(check_same_id(json, id));
    return read_tpm(json, ret_keys);
}
