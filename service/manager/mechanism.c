#include "inner.h"

#include <credential.h>
#include <string.h>
#include <wire/names.h>
#include <wire/text.h>
#include <x509.h>

static const char *const slots[2] = {"primary", "secondary"};
static const char *const key_names[2] = {"primaryKey", "secondaryKey"};

static bool is_given(const json_t *member) { return member != NULL && !json_is_null(member); }

static struct span json_span(const json_t *text)
{
    return span_of(json_string_value(text), json_string_length(text));
}

/* ---- tpm ---- */
static enum err tpm_key_read(struct manager_exchange *x, const json_t *tpm, const char *name,
                             enum tpm_key_role role, struct tpm_public *ret_pub)
{
    const json_t *text = json_object_get(tpm, name);
    uint8_t raw[TPM_PUBLIC_CAP];
    struct buf b = BUF_OVER(raw);
    if (!json_is_string(text) || json_string_length(text) == 0)
        return refuse(x, ERR_INVALID_ARGUMENT, "attestation.tpm.%s is missing", name);
    enum err e = base64_read(json_span(text), &b);
    if (e == ERR_OK)
        e = tpm_public_read(buf_span(&b), ret_pub);
    if (e == ERR_OK)
        e = tpm_public_check_role(ret_pub, role);
    if (e == ERR_OK || e == ERR_CRYPTO)
        return e;
    return refuse(x, ERR_INVALID_ARGUMENT, "attestation.tpm.%s is not the base64 of a TPM2B_PUBLIC "
                  "of this role: %s", name, err_text(e));
}

static enum err tpm_judge(struct manager_exchange *x, const struct tpm_public *ek)
{
    enum attest_weakness weakness;
    TRY(attest_key_judge_quick(ek, &weakness));
    if (weakness == ATTEST_KEY_GOOD)
        return ERR_OK;
    return refuse(x, ERR_KEY_WEAK, "attestation.tpm.endorsementKey is weak: %s",
                  attest_weakness_text(weakness));
}

static enum err tpm_read(struct manager_exchange *x, const json_t *tpm,
                         struct store_enrollment *row)
{
    struct tpm_public ek, srk;
    TRY(tpm_key_read(x, tpm, NAME_ENDORSEMENT_KEY, TPM_ROLE_EK, &ek));
    TRY(tpm_judge(x, &ek));
    memcpy(row->ek, ek.raw, ek.raw_len);
    row->ek_len = ek.raw_len;
    TRY(tpm_public_key_hash(&ek, row->ek_hash));
    const json_t *given = json_object_get(tpm, NAME_STORAGE_ROOT_KEY);
    if (!is_given(given) || (json_is_string(given) && json_string_length(given) == 0))
        return ERR_OK;
    TRY(tpm_key_read(x, tpm, NAME_STORAGE_ROOT_KEY, TPM_ROLE_SRK, &srk));
    memcpy(row->srk, srk.raw, srk.raw_len);
    row->srk_len = srk.raw_len;
    return ERR_OK;
}

static json_t *base64_json(struct span bytes)
{
    char text[BASE64_LEN(TPM_PUBLIC_CAP)];
    struct buf b = BUF_OVER(text);
    base64_write(&b, bytes);
    json_t *j = b.full ? NULL : json_stringn(text, b.len);
    bytes_wipe(text, sizeof text);
    return j;
}

static enum err tpm_write(const struct store_enrollment *row, json_t *tpm)
{
    if (json_object_set_new(tpm, NAME_ENDORSEMENT_KEY,
                            base64_json(span_of(row->ek, row->ek_len))) != 0)
        return ERR_MEMORY;
    if (row->srk_len > 0 &&
        json_object_set_new(tpm, NAME_STORAGE_ROOT_KEY,
                            base64_json(span_of(row->srk, row->srk_len))) != 0)
        return ERR_MEMORY;
    return ERR_OK;
}

/* ---- symmetric keys ---- */
static enum err key_read(struct manager_exchange *x, const json_t *text, const char *name,
                         uint8_t ret_key[CREDENTIAL_KEY_MAX], size_t *ret_len)
{
    uint8_t bytes[CREDENTIAL_KEY_MAX + 1];
    struct buf b = BUF_OVER(bytes);
    bool good = json_is_string(text) && base64_read(json_span(text), &b) == ERR_OK &&
                b.len >= CREDENTIAL_KEY_MIN && b.len <= CREDENTIAL_KEY_MAX;
    if (good) {
        memcpy(ret_key, bytes, b.len);
        *ret_len = b.len;
    }
    buf_wipe(&b);
    return good ? ERR_OK
                : refuse(x, ERR_INVALID_ARGUMENT, "attestation.symmetricKey.%s is not the base64 of "
                         "%d to %d bytes", name, CREDENTIAL_KEY_MIN, CREDENTIAL_KEY_MAX);
}

/* Those of the row that is there now; none if there is none, or it is attested otherwise. */
static enum err credential_find(struct manager_worker *w, const struct row *row, struct buf *out)
{
    enum err e = ERR_ABSENT;
    if (row != NULL && row->kind == KIND_ENROLLMENT)
        e = store_credential_find(w->reader, row_number(row), out);
    else if (row != NULL)
        e = store_group_credential_find(w->reader, row_number(row), out);
    return e == ERR_ABSENT ? ERR_OK : e;
}

static enum credential_owner owner_of(enum kind kind)
{
    return kind == KIND_GROUP ? CREDENTIAL_OF_GROUP : CREDENTIAL_OF_ENROLLMENT;
}

static enum err keys_find(struct manager_worker *w, const struct row *row, struct credential_keys *ret_keys)
{
    uint8_t bytes[STORE_CREDENTIAL_CAP];
    struct buf b = BUF_OVER(bytes);
    struct credential c;
    ret_keys->len[0] = ret_keys->len[1] = 0;
    TRY(credential_find(w, row, &b));
    TRY(credential_read(buf_span(&b), &c));
    if (c.kind != CREDENTIAL_KEYS)
        return ERR_OK;
    return credential_keys_open(&w->manager->config.seal_key, owner_of(row->kind), row_id(row),
                                c.at[0], ret_keys);
}

static enum err keys_json(const struct credential_keys *k, json_t *ret_object)
{
    for (int i = 0; i < 2; i++)
        if (json_object_set_new(ret_object, key_names[i],
                                base64_json(span_of(k->at[i], k->len[i]))) != 0)
            return ERR_MEMORY;
    return ERR_OK;
}

/* Given ones are taken; of the others those that are there stay, else they are made. */
static enum err keys_read(struct manager_worker *w, struct manager_exchange *x, const json_t *given,
                          enum kind kind, const struct regid *id, const struct row *present,
                          struct draft *draft, json_t *shown)
{
    CREDENTIAL_KEYS_OWNED k = {.len = {0, 0}};
    TRY(keys_find(w, present, &k));
    for (int i = 0; i < 2; i++) {
        const json_t *text = json_object_get(given, key_names[i]);
        if (is_given(text) && !(json_is_string(text) && json_string_length(text) == 0)) {
            TRY(key_read(x, text, key_names[i], k.at[i], &k.len[i]));
        } else if (k.len[i] == 0) {
            TRY(attest_random(w->attest, k.at[i], CREDENTIAL_KEY_MAX));
            k.len[i] = CREDENTIAL_KEY_MAX;
        }
    }
    uint8_t bytes[CREDENTIAL_SEALED_CAP];
    struct buf sealed = BUF_OVER(bytes), out = BUF_OVER(draft->credential);
    TRY(credential_keys_seal(w->attest, &w->manager->config.seal_key, owner_of(kind), id, &k,
                             &sealed));
    credential_write(&out, CREDENTIAL_KEYS, buf_span(&sealed), span_of("", 0));
    draft->credential_len = out.len;
    return keys_json(&k, shown);
}

/* ---- x509 ---- */
static const struct {
    const char *name;
    enum credential_kind what;
} x509_members[] = {
    {"clientCertificates", CREDENTIAL_CLIENT},
    {"signingCertificates", CREDENTIAL_SIGNING},
    {"caReferences", CREDENTIAL_REFERENCES},
};

static const char *x509_member(enum credential_kind what)
{
    return x509_members[what - CREDENTIAL_CLIENT].name;
}

static enum err x509_choose(struct manager_exchange *x, const json_t *x509, enum kind kind,
                            enum credential_kind *ret_what)
{
    int given = 0;
    for (size_t i = 0; i < 3; i++)
        if (is_given(json_object_get(x509, x509_members[i].name))) {
            *ret_what = x509_members[i].what;
            given++;
        }
    if (given != 1)
        return refuse(x, ERR_INVALID_ARGUMENT, "attestation.x509 must have exactly one of "
                      "clientCertificates, signingCertificates and caReferences");
    if ((kind == KIND_GROUP) == (*ret_what == CREDENTIAL_CLIENT))
        return refuse(x, ERR_INVALID_ARGUMENT, "attestation.x509.%s is not for %s",
                      x509_member(*ret_what),
                      kind == KIND_GROUP ? "an enrollment group" : "an individual enrollment");
    return ERR_OK;
}

/* A certificate that is not repeated, its info alone as GET shows it, stays as it is. */
static bool is_info_of(const json_t *entry, struct span der)
{
    struct x509_info info;
    const json_t *print =
        json_object_get(json_object_get(entry, "info"), "sha256Thumbprint");
    return der.len > 0 && json_is_string(print) && x509_info_read(der, &info) == ERR_OK &&
           span_equal_ignoring_case(json_span(print), span_text(info.sha256_thumbprint));
}

static enum err certificate_put(struct manager_exchange *x, const json_t *entry, const char *where,
                                struct span present, struct buf *out)
{
    const json_t *text = json_object_get(entry, "certificate");
    uint8_t der[STORE_CREDENTIAL_CAP];
    struct buf b = BUF_OVER(der);
    struct x509_info info;
    if (!is_given(text) && is_info_of(entry, present)) {
        buf_put(out, present);
        return ERR_OK;
    }
    if (!json_is_string(text) || x509_text_read(json_span(text), &b) != ERR_OK ||
        x509_info_read(buf_span(&b), &info) != ERR_OK)
        return refuse(x, ERR_INVALID_ARGUMENT, "attestation.x509.%s.certificate is not one "
                      "certificate in PEM or base64", where);
    buf_put(out, buf_span(&b));
    return ERR_OK;
}

static enum err reference_put(struct manager_exchange *x, const json_t *entry, const char *where,
                              struct buf *out)
{
    if (!json_is_string(entry) || json_string_length(entry) == 0 || json_string_length(entry) > 64)
        return refuse(x, ERR_INVALID_ARGUMENT, "attestation.x509.%s is not a certificate's name",
                      where);
    buf_put(out, json_span(entry));
    return ERR_OK;
}

static enum err x509_slot_read(struct manager_exchange *x, const json_t *pair, enum credential_kind what,
                               int slot, struct span present, struct buf *out)
{
    const json_t *entry = json_object_get(pair, slots[slot]);
    char where[64];
    struct buf b = BUF_OVER(where);
    buf_put_text(&b, x509_member(what));
    buf_put_u8(&b, '.');
    buf_put_text(&b, slots[slot]);
    TRY(buf_end_text(&b));
    if (is_given(entry) && what == CREDENTIAL_REFERENCES)
        return reference_put(x, entry, where, out);
    if (is_given(entry))
        return certificate_put(x, entry, where, present, out);
    if (slot == 0)
        return refuse(x, ERR_INVALID_ARGUMENT, "attestation.x509.%s is missing", where);
    return ERR_OK; /* no second one */
}

static enum err x509_put(struct manager_worker *w, struct manager_exchange *x, const json_t *x509,
                         enum kind kind, const struct row *present, struct draft *draft)
{
    uint8_t bytes[STORE_CREDENTIAL_CAP], slot[2][STORE_CREDENTIAL_CAP];
    struct buf b = BUF_OVER(bytes), out = BUF_OVER(draft->credential);
    struct buf read[2] = {BUF_OVER(slot[0]), BUF_OVER(slot[1])};
    struct credential old;
    enum credential_kind what = CREDENTIAL_CLIENT;
    TRY(x509_choose(x, x509, kind, &what));
    TRY(credential_find(w, present, &b));
    TRY(credential_read(buf_span(&b), &old));
    for (int i = 0; i < 2; i++)
        TRY(x509_slot_read(x, json_object_get(x509, x509_member(what)), what, i,
                           old.kind == what ? old.at[i] : span_of("", 0), &read[i]));
    credential_write(&out, what, buf_span(&read[0]), buf_span(&read[1]));
    if (out.full)
        return refuse(x, ERR_TOO_LARGE, "attestation.x509: the certificates are too long");
    draft->credential_len = out.len;
    return ERR_OK;
}

static bool set(json_t *object, const char *name, const char *text)
{
    return json_object_set_new(object, name, json_string(text)) == 0;
}

static enum err info_json(struct span der, json_t **ret_json)
{
    struct x509_info info;
    JSON *j = json_object(), *certificate = json_object();
    TRY(x509_info_read(der, &info));
    bool good = j != NULL && certificate != NULL && set(j, "subjectName", info.subject) &&
                set(j, "sha1Thumbprint", info.sha1_thumbprint) &&
                set(j, "sha256Thumbprint", info.sha256_thumbprint) &&
                set(j, "issuerName", info.issuer) &&
                json_set_time(j, "notBeforeUtc", info.not_before_s) &&
                json_set_time(j, "notAfterUtc", info.not_after_s) &&
                set(j, "serialNumber", info.serial) &&
                json_object_set_new(j, "version", json_integer(info.version)) == 0 &&
                json_object_set(certificate, "info", j) == 0;
    if (!good)
        return ERR_MEMORY;
    *ret_json = json_incref(certificate);
    return ERR_OK;
}

static enum err x509_json(const struct credential *p, json_t *ret_object)
{
    JSON *pair = json_object();
    for (int i = 0; i < 2; i++) {
        json_t *entry = NULL;
        if (p->at[i].len == 0)
            continue;
        if (p->kind == CREDENTIAL_REFERENCES)
            entry = json_stringn((const char *)p->at[i].at, p->at[i].len);
        else
            TRY(info_json(p->at[i], &entry));
        if (json_object_set_new(pair, slots[i], entry) != 0)
            return ERR_MEMORY;
    }
    return json_object_set(ret_object, x509_member(p->kind), pair) == 0 ? ERR_OK : ERR_MEMORY;
}

/* ---- the whole ---- */
static const char *const type_names[] = {
    [STORE_TPM] = "tpm", [STORE_SYMMETRIC_KEY] = "symmetricKey", [STORE_X509] = "x509",
};

static enum err type_read(struct manager_exchange *x, const json_t *mechanism,
                          enum store_attestation *ret_type)
{
    const json_t *type = json_object_get(mechanism, "type");
    if (!json_is_object(mechanism) || !json_is_string(type))
        return refuse(x, ERR_INVALID_ARGUMENT, "attestation.type is missing");
    for (int i = STORE_TPM; i <= STORE_X509; i++) {
        if (!span_equal_ignoring_case(json_span(type), span_text(type_names[i])))
            continue;
        *ret_type = (enum store_attestation)i;
        return ERR_OK;
    }
    return refuse(x, ERR_INVALID_ARGUMENT, "attestation.type \"%s\" is none of tpm, x509, "
                  "symmetricKey", SHOW(json_span(type)));
}

static enum store_attestation row_type(const struct row *row)
{
    return row->kind == KIND_ENROLLMENT ? row->enrollment.attestation : row->group.attestation;
}

static enum err mechanism_json(enum store_attestation type, json_t **ret_whole, json_t **ret_member)
{
    JSON *whole = json_object();
    json_t *member = json_object();
    if (whole == NULL || !set(whole, "type", type_names[type]) ||
        json_object_set_new(whole, type_names[type], member) != 0)
        return ERR_MEMORY;
    *ret_whole = json_incref(whole);
    *ret_member = member;
    return ERR_OK;
}

static enum err member_read(struct manager_worker *w, struct manager_exchange *x,
                            const json_t *given, enum store_attestation type, enum kind kind,
                            const struct row *present, struct draft *draft)
{
    struct store_enrollment *row = &draft->change->enrollment;
    const struct regid *id = kind == KIND_GROUP ? &draft->change->group.id : &row->id;
    json_t *member = NULL;
    struct credential p;
    if (present != NULL && row_type(present) != type)
        present = NULL;
    if (type == STORE_TPM && kind == KIND_GROUP)
        return refuse(x, ERR_INVALID_ARGUMENT, "attestation.type tpm is not for an enrollment group");
    if (type != STORE_SYMMETRIC_KEY && !json_is_object(given))
        return refuse(x, ERR_INVALID_ARGUMENT, "attestation.%s is missing", type_names[type]);
    TRY(mechanism_json(type, &draft->attestation, &member));
    switch (type) {
    case STORE_TPM:
        TRY(tpm_read(x, given, row));
        return tpm_write(row, member);
    case STORE_SYMMETRIC_KEY:
        return keys_read(w, x, given, kind, id, present, draft, member);
    default:
        TRY(x509_put(w, x, given, kind, present, draft));
        TRY(credential_read(span_of(draft->credential, draft->credential_len), &p));
        return x509_json(&p, member);
    }
}

enum err mechanism_read(struct manager_worker *w, struct manager_exchange *x, const json_t *body,
                        enum kind kind, const struct row *present, struct draft *draft)
{
    const json_t *mechanism = json_object_get(body, "attestation");
    enum store_attestation type = STORE_TPM;
    TRY(type_read(x, mechanism, &type));
    if (kind == KIND_GROUP)
        draft->change->group.attestation = type;
    else
        draft->change->enrollment.attestation = type;
    return member_read(w, x, json_object_get(mechanism, type_names[type]), type, kind, present,
                       draft);
}

static enum err credential_json(struct manager_worker *w, const struct row *row, json_t *member)
{
    uint8_t bytes[STORE_CREDENTIAL_CAP];
    struct buf b = BUF_OVER(bytes);
    struct credential p;
    TRY(credential_find(w, row, &b));
    TRY(credential_read(buf_span(&b), &p));
    return p.kind == CREDENTIAL_NONE || p.kind == CREDENTIAL_KEYS ? ERR_STORE : x509_json(&p, member);
}

static enum err secrets_json(struct manager_worker *w, const struct row *row, json_t *member)
{
    CREDENTIAL_KEYS_OWNED k = {.len = {0, 0}};
    TRY(keys_find(w, row, &k));
    return keys_json(&k, member);
}

enum err mechanism_write(struct manager_worker *w, const struct row *row, bool secrets,
                         json_t **ret_json)
{
    JSON *whole = NULL;
    json_t *member = NULL;
    enum store_attestation type = row_type(row);
    TRY(mechanism_json(type, &whole, &member));
    if (type == STORE_TPM)
        TRY(tpm_write(&row->enrollment, member));
    else if (type == STORE_X509)
        TRY(credential_json(w, row, member));
    else if (secrets)
        TRY(secrets_json(w, row, member));
    else
        (void)json_object_del(whole, type_names[type]); /* as Azure hides them */
    *ret_json = json_incref(whole);
    return ERR_OK;
}
