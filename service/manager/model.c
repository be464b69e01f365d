#include "inner.h"

#include <wire/names.h>
#include <wire/text.h>

/* What a PUT says of an enrollment beside who it is for, and what the answer repeats. It goes into a
 * profile, which enrollments with the same settings share: the parts the registrar reads into members
 * of their own, everything else into its document. Members that were not sent stay out of answers. */

#define DEVICE_ID_GIVEN NAME_DEVICE_ID /* in the document: the answer shows the device id */
#define STATUS_MEMBER "provisioningStatus"
#define TWIN_MEMBER "initialTwin"
#define ALLOCATION_MEMBER "allocationPolicy"
#define HUBS_MEMBER "iotHubs"
#define WEBHOOK_MEMBER "customAllocationDefinition"

static struct span json_span(const json_t *text)
{
    return span_of(json_string_value(text), json_string_length(text));
}

static bool is_given(const json_t *member) { return member != NULL && !json_is_null(member); }

static bool set(json_t *object, const char *name, const char *text)
{
    return json_object_set_new(object, name, json_string(text)) == 0;
}

/* ---- rows ---- */
uint64_t row_number(const struct row *row)
{
    return row->kind == KIND_ENROLLMENT ? row->enrollment.number : row->group.number;
}

const struct regid *row_id(const struct row *row)
{
    return row->kind == KIND_ENROLLMENT ? &row->enrollment.id : &row->group.id;
}

enum err model_find(struct manager_worker *w, enum kind kind, const struct regid *id,
                    struct row *ret_row)
{
    enum err e = ERR_OK;
    ret_row->kind = kind;
    if (kind == KIND_ENROLLMENT)
        e = store_enrollment_find(w->reader, id, &ret_row->enrollment);
    else
        e = store_group_find(w->reader, id, &ret_row->group);
    return e == ERR_ABSENT ? ERR_NOT_ENROLLED : e;
}

enum err model_profile(struct manager_worker *w, const struct row *row,
                       struct store_profile *ret_profile)
{
    int64_t number = row->kind == KIND_ENROLLMENT ? row->enrollment.profile : row->group.profile;
    if (number != 0)
        return store_profile_find(w->reader, number, ret_profile);
    *ret_profile = (struct store_profile){.document = ""};
    return ERR_OK;
}

/* ---- reading: settings ---- */
static enum err wrong(struct manager_exchange *x, const char *name, const char *must)
{
    return refuse(x, ERR_INVALID_ARGUMENT, "%s must be %s", name, must);
}

static enum err put_json(struct manager_exchange *x, const json_t *value, const char *name,
                         char *ret_text, size_t cap)
{
    size_t len = json_dumpb(value, ret_text, cap - 1, JSON_COMPACT | JSON_SORT_KEYS);
    if (len == 0)
        return ERR_MEMORY;
    if (len > cap - 1)
        return refuse(x, ERR_TOO_LARGE, "%s is longer than %zu bytes", name, cap - 1);
    ret_text[len] = 0;
    return ERR_OK;
}

static enum err read_twin(struct manager_exchange *x, const json_t *value,
                          struct store_profile *profile)
{
    if (!json_is_object(value))
        return wrong(x, TWIN_MEMBER, "an object");
    return put_json(x, value, TWIN_MEMBER, profile->twin, sizeof profile->twin);
}

static enum err read_allocation(struct manager_exchange *x, const json_t *value,
                                struct store_profile *profile)
{
    static const char *const policies[] = {"hashed", "geoLatency", "static", "custom"};
    for (size_t i = 0; json_is_string(value) && i < 4; i++)
        if (span_equal_ignoring_case(json_span(value), span_text(policies[i])))
            return span_to_text(span_text(policies[i]), profile->allocation,
                                sizeof profile->allocation);
    return wrong(x, ALLOCATION_MEMBER, "one of hashed, geoLatency, static, custom");
}

/* A host name as the registrar compares it: no comma, no space, nothing that JSON escapes. */
static bool is_host(const json_t *value)
{
    struct span s = json_span(value);
    if (!json_is_string(value) || s.len == 0 || s.len >= STORE_HOST_CAP)
        return false;
    for (size_t i = 0; i < s.len; i++) {
        uint8_t c = s.at[i];
        bool good = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                    c == '-' || c == '.' || c == ':';
        if (!good)
            return false;
    }
    return true;
}

static enum err read_hubs(struct manager_exchange *x, const json_t *value,
                          struct store_profile *profile)
{
    struct buf b = BUF_OVER(profile->hubs);
    size_t i;
    const json_t *hub;
    if (!json_is_array(value))
        return wrong(x, HUBS_MEMBER, "an array of host names");
    json_array_foreach(value, i, hub) {
        if (!is_host(hub))
            return wrong(x, HUBS_MEMBER, "an array of host names");
        if (b.len > 0)
            buf_put_u8(&b, ',');
        buf_put(&b, json_span(hub));
    }
    return buf_end_text(&b) == ERR_OK ? ERR_OK : wrong(x, HUBS_MEMBER, "shorter");
}

/* The URL carries a key: only its sealed form is stored. */
static enum err seal_webhook(struct manager_worker *w, struct manager_exchange *x,
                             const json_t *value, json_t *document)
{
    const json_t *url = json_object_get(value, "webhookUrl");
    const json_t *version = json_object_get(value, "apiVersion");
    uint8_t sealed[ATTEST_SEAL_PLAIN_CAP + ATTEST_SEAL_OVERHEAD];
    char text[BASE64_LEN(sizeof sealed)];
    struct buf b = BUF_OVER(sealed), base64 = BUF_OVER(text);
    if (!json_is_string(url) || json_string_length(url) == 0 || json_string_length(url) > 2048)
        return wrong(x, WEBHOOK_MEMBER ".webhookUrl", "a URL of at most 2048 bytes");
    if (!json_is_string(version))
        return wrong(x, WEBHOOK_MEMBER ".apiVersion", "an api-version");
    TRY(attest_seal(w->attest, &w->manager->config.seal_key, SPAN_LITERAL("webhook"),
                    json_span(url), &b));
    base64_write(&base64, buf_span(&b));
    TRY(buf_end(&base64));
    json_t *stored = json_pack("{s:s%,s:O}", "webhookUrl", text, base64.len, "apiVersion", version);
    return json_object_set_new(document, WEBHOOK_MEMBER, stored) == 0 ? ERR_OK : ERR_MEMORY;
}

static enum err unseal_webhook(struct manager_worker *w, json_t *custom)
{
    const json_t *stored = json_object_get(custom, "webhookUrl");
    uint8_t sealed[ATTEST_SEAL_PLAIN_CAP + ATTEST_SEAL_OVERHEAD], plain[ATTEST_SEAL_PLAIN_CAP];
    struct buf b = BUF_OVER(sealed), url = BUF_OVER(plain);
    if (!json_is_string(stored) || base64_read(json_span(stored), &b) != ERR_OK)
        return ERR_STORE;
    TRY(attest_unseal(&w->manager->config.seal_key, SPAN_LITERAL("webhook"), buf_span(&b), &url));
    int failed = json_object_set_new(custom, "webhookUrl",
                                     json_stringn((const char *)url.at, url.len));
    buf_wipe(&url);
    return failed == 0 ? ERR_OK : ERR_MEMORY;
}

static enum err check_reprovision(struct manager_exchange *x, const json_t *value)
{
    const char *name;
    json_t *flag;
    json_object_foreach((json_t *)(uintptr_t)value, name, flag)
        if (!json_is_boolean(flag) && !json_is_null(flag))
            return wrong(x, "reprovisionPolicy's members", "true or false");
    return ERR_OK;
}

/* Members that are kept as they come, in the document. */
static const struct {
    const char *name;
    bool object; /* else a text */
    bool individual_only;
} kept[] = {
    {"capabilities", true, false},
    {"iotHubHostName", false, false},
    {"reprovisionPolicy", true, false},
    {"optionalDeviceInformation", true, true},
    {"credentialPolicyName", false, false},
};

static enum err keep_members(struct manager_exchange *x, const json_t *body, enum kind kind,
                             json_t *document)
{
    for (size_t i = 0; i < sizeof kept / sizeof kept[0]; i++) {
        json_t *value = json_object_get(body, kept[i].name);
        if (!is_given(value) || (kept[i].individual_only && kind == KIND_GROUP))
            continue;
        if (kept[i].object ? !json_is_object(value) : !json_is_string(value))
            return wrong(x, kept[i].name, kept[i].object ? "an object" : "a text");
        if (json_object_set(document, kept[i].name, value) != 0)
            return ERR_MEMORY;
    }
    return check_reprovision(x, json_object_get(document, "reprovisionPolicy"));
}

static enum err read_status(struct manager_exchange *x, const json_t *body, json_t *document,
                            bool *ret_enabled)
{
    const json_t *value = json_object_get(body, STATUS_MEMBER);
    *ret_enabled = true;
    if (value == NULL)
        return ERR_OK;
    if (json_is_null(value)) /* and the answer says null */
        return json_object_set_new(document, STATUS_MEMBER, json_null()) == 0 ? ERR_OK : ERR_MEMORY;
    if (json_is_string(value) && span_equal_ignoring_case(json_span(value), SPAN_LITERAL("enabled")))
        return ERR_OK;
    *ret_enabled = false;
    if (json_is_string(value) &&
        span_equal_ignoring_case(json_span(value), SPAN_LITERAL("disabled")))
        return ERR_OK;
    return wrong(x, STATUS_MEMBER, "enabled or disabled");
}

static enum err read_settings(struct manager_worker *w, struct manager_exchange *x,
                              const json_t *body, enum kind kind, json_t *document,
                              struct store_profile *profile)
{
    const json_t *twin = json_object_get(body, TWIN_MEMBER);
    const json_t *allocation = json_object_get(body, ALLOCATION_MEMBER);
    json_t *hubs = json_object_get(body, HUBS_MEMBER);
    const json_t *custom = json_object_get(body, WEBHOOK_MEMBER);
    TRY(keep_members(x, body, kind, document));
    if (is_given(twin))
        TRY(read_twin(x, twin, profile));
    if (is_given(allocation))
        TRY(read_allocation(x, allocation, profile));
    if (is_given(hubs)) {
        TRY(read_hubs(x, hubs, profile));
        if (json_object_set(document, HUBS_MEMBER, hubs) != 0)
            return ERR_MEMORY;
    }
    return is_given(custom) ? seal_webhook(w, x, custom, document) : ERR_OK;
}

/* ---- reading: the whole ---- */
static enum err read_device_id(struct manager_exchange *x, const json_t *body, json_t *document,
                               const struct regid *id, struct regid *ret_device_id)
{
    const json_t *value = json_object_get(body, NAME_DEVICE_ID);
    *ret_device_id = *id;
    if (!is_given(value) || (json_is_string(value) && json_string_length(value) == 0))
        return ERR_OK;
    if (!json_is_string(value) || regid_read(json_span(value), ret_device_id) != ERR_OK)
        return wrong(x, NAME_DEVICE_ID, "1 to 128 of a-z 0-9 - . _ :");
    return json_object_set_new(document, DEVICE_ID_GIVEN, json_true()) == 0 ? ERR_OK : ERR_MEMORY;
}

static enum err read_members(struct manager_worker *w, struct manager_exchange *x,
                             const json_t *body, enum kind kind, json_t *document,
                             struct draft *draft)
{
    struct store_change *c = draft->change;
    bool enabled = true;
    TRY(read_settings(w, x, body, kind, document, &draft->profile));
    TRY(read_status(x, body, document, &enabled));
    if (kind == KIND_GROUP) {
        c->group.enabled = enabled;
        c->group.created_s = c->group.updated_s = manager_now(w);
        return ERR_OK;
    }
    c->enrollment.enabled = enabled;
    c->enrollment.created_s = c->enrollment.updated_s = manager_now(w);
    return read_device_id(x, body, document, &c->enrollment.id, &c->enrollment.device_id);
}

enum err model_read(struct manager_worker *w, struct manager_exchange *x, const json_t *body,
                    enum kind kind, const struct row *present, struct draft *draft)
{
    JSON *document = json_object();
    struct store_profile *p = &draft->profile;
    if (document == NULL)
        return ERR_MEMORY;
    *p = (struct store_profile){.document = ""};
    TRY(read_members(w, x, body, kind, document, draft));
    TRY(mechanism_read(w, x, body, kind, present, draft));
    draft->has_profile =
        json_object_size(document) > 0 || p->twin[0] != 0 || p->allocation[0] != 0;
    if (draft->has_profile)
        TRY(put_json(x, document, "what the enrollment says", p->document, sizeof p->document));
    return ERR_OK;
}

/* ---- writing ---- */
static enum err imported_hubs(const char *hubs, json_t *j)
{
    struct span rest = span_text(hubs);
    JSON *list = json_array();
    if (rest.len == 0)
        return ERR_OK;
    while (rest.at != NULL) {
        struct span host = span_cut(&rest, ',');
        if (json_array_append_new(list, json_stringn((const char *)host.at, host.len)) != 0)
            return ERR_MEMORY;
    }
    return json_object_set(j, HUBS_MEMBER, list) == 0 ? ERR_OK : ERR_MEMORY;
}

static enum err write_document(struct manager_worker *w, const struct row *row,
                               const struct store_profile *profile, json_t *j)
{
    json_error_t error;
    if (profile->document[0] == 0)
        return imported_hubs(profile->hubs, j);
    JSON *document = json_loads(profile->document, 0, &error);
    if (document == NULL)
        return json_error_code(&error) == json_error_out_of_memory ? ERR_MEMORY : ERR_STORE;
    json_t *custom = json_object_get(document, WEBHOOK_MEMBER);
    if (custom != NULL)
        TRY(unseal_webhook(w, custom));
    if (json_object_get(document, DEVICE_ID_GIVEN) != NULL &&
        !set(document, NAME_DEVICE_ID, row->enrollment.device_id.text))
        return ERR_MEMORY;
    return json_object_update(j, document) == 0 ? ERR_OK : ERR_MEMORY;
}

static enum err write_settings(struct manager_worker *w, const struct row *row,
                               const struct store_profile *profile, json_t *j)
{
    json_error_t error;
    if (profile->allocation[0] != 0 && !set(j, ALLOCATION_MEMBER, profile->allocation))
        return ERR_MEMORY;
    if (profile->twin[0] != 0 &&
        json_object_set_new(j, TWIN_MEMBER, json_loads(profile->twin, 0, &error)) != 0)
        return ERR_STORE;
    return write_document(w, row, profile, j);
}

static enum err write_row(const struct row *row, json_t *j)
{
    bool group = row->kind == KIND_GROUP;
    char etag[ETAG_CAP];
    etag_write(row_number(row), group ? row->group.revision : row->enrollment.revision, etag);
    bool enabled = group ? row->group.enabled : row->enrollment.enabled;
    bool good = set(j, group ? "enrollmentGroupId" : NAME_REGISTRATION_ID, row_id(row)->text) &&
                set(j, NAME_ETAG, etag) &&
                json_set_time(j, NAME_CREATED,
                              group ? row->group.created_s : row->enrollment.created_s) &&
                json_set_time(j, NAME_UPDATED,
                              group ? row->group.updated_s : row->enrollment.updated_s);
    /* null where null was sent: but only as long as nobody has said otherwise */
    if (!enabled || json_object_get(j, STATUS_MEMBER) == NULL)
        good = good && set(j, STATUS_MEMBER, enabled ? "enabled" : "disabled");
    if (!group && !span_equal(regid_span(&row->enrollment.device_id), regid_span(&row->enrollment.id)))
        good = good && set(j, NAME_DEVICE_ID, row->enrollment.device_id.text);
    return good ? ERR_OK : ERR_MEMORY;
}

enum err model_write(struct manager_worker *w, const struct row *row,
                     const struct store_profile *profile, const json_t *attestation,
                     json_t **ret_json)
{
    JSON *j = json_object();
    json_t *mechanism = NULL;
    if (j == NULL)
        return ERR_MEMORY;
    TRY(write_settings(w, row, profile, j));
    TRY(write_row(row, j));
    if (attestation != NULL)
        mechanism = json_incref((json_t *)(uintptr_t)attestation);
    else
        TRY(mechanism_write(w, row, false, &mechanism));
    if (json_object_set_new(j, "attestation", mechanism) != 0)
        return ERR_MEMORY;
    *ret_json = json_incref(j);
    return ERR_OK;
}
